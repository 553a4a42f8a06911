"""The form in which a detector is exported: the static graph, and what it takes."""

from dataclasses import replace

from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from compressor.types import InputSpec
from detection.static import StaticDetector, StaticSettings


def deployed(model: nn.Module, inputs: InputSpec) -> tuple[nn.Module, InputSpec]:
    """Return the static graph of a torchvision detector on the canvas that ``inputs`` names.

    It normalises by itself, so that its first input is an image in 0..1; its second is the size of the image
    within the canvas, (rows, columns).

    Raises:
        UsageError: the canvas is no multiple of 32, or a part of the detector has no static form.
    """
    assert isinstance(model, GeneralizedRCNN)
    _, height, width = inputs.image
    settings = StaticSettings.of(model, height=height, width=width)
    smallest = float(min(height, width))
    ranges = ((0.0, 1.0), (smallest / 2, smallest))
    spec = replace(inputs, shapes=(inputs.image, (2,)), ranges=ranges)
    return StaticDetector(model, settings).eval(), spec
