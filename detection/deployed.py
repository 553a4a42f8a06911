"""The form in which a detector is exported: the static graph, and what it takes."""

from dataclasses import replace

from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from compressor.zoo.inputs import InputSpec
from detection.static import StaticDetector, StaticSettings
from detection.static.settings import Nms


def deployed(model: nn.Module, inputs: InputSpec, nms: Nms = "iterated") -> tuple[nn.Module, InputSpec]:
    """Return the static graph of a torchvision detector on the canvas that ``inputs`` names.

    It normalises by itself, so that its first input is an image in 0..1; its second is the size of the image
    within the canvas, (rows, columns).

    Raises:
        UsageError: the canvas is no multiple of 32, or a part of the detector has no static form.
    """
    assert isinstance(model, GeneralizedRCNN)
    _, height, width = inputs.image
    settings = StaticSettings.of(model, height=height, width=width, nms=nms)
    return StaticDetector(model, settings).eval(), canvas_input(inputs)


def canvas_input(inputs: InputSpec) -> InputSpec:
    """Return what a graph takes on the canvas that ``inputs`` names: images in 0..1, and their sizes."""
    smallest = float(min(inputs.image[1:]))
    ranges = ((0.0, 1.0), (smallest / 2, smallest))
    return replace(inputs, shapes=(inputs.image, (2,)), ranges=ranges)
