"""Torchvision's own graph of a detector: as many rows as it finds, and shapes that depend on the image.

It takes and returns what the static graph does, so that everything behind it is the same; but one image at a
time, and mask and keypoint heads run on what was found, not on padding. Control flow and data-dependent
shapes keep it off TensorRT and off captured graphs.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList

from compressor.zoo.inputs import InputSpec
from detection.deployed import canvas_input
from detection.reference import show_canvas
from detection.static.canvas import NormalisedCanvas
from detection.static.pyramid import features_of

_ROWS = MappingProxyType({1: "detections"})


class FullDetector(nn.Module):
    """Faster, Mask or Keypoint R-CNN on a canvas, by torchvision's own functions.

    Args:
        detector: torchvision's; it is copied.
        canvas: (height, width), multiples of 32.
    """

    traced_axes: ClassVar[Mapping[str, Mapping[int, str]]] = MappingProxyType(
        dict.fromkeys(("boxes", "scores", "labels", "masks", "heatmaps"), _ROWS)
    )

    def __init__(self, detector: GeneralizedRCNN, canvas: tuple[int, int]) -> None:
        super().__init__()
        detector = copy.deepcopy(detector).eval()
        self.backbone, self.rpn, self.heads = detector.backbone, detector.rpn, detector.roi_heads
        weight = next(detector.parameters())
        with torch.no_grad():
            show_canvas(detector, features_of(self.backbone, weight.new_zeros(1, 3, *canvas)), canvas)
        self.canvas = NormalisedCanvas(detector.transform, weight.device)

    def forward(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Detect in one image (1, 3, H, W) of ``sizes`` (1, 2), its rows and columns within the canvas.

        Returns:
            What `detection.static.StaticDetector` returns; D is what was found.
        """
        return self.detect(self.features(images, sizes), images, sizes)

    def features(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return the feature maps by name."""
        return features_of(self.backbone, self.canvas(images, sizes))

    def detect(self, features: dict[str, Tensor], images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return what `forward` does, from its feature maps; of ``images`` only the shape is looked at."""
        size = (sizes[0, 0], sizes[0, 1])
        proposals, _ = self.rpn(ImageList(images, [size]), features)
        boxes, scores, labels = self._boxes(features, proposals, size)
        outputs = {
            "num_detections": torch.ones_like(labels).sum(dim=0, keepdim=True),
            "boxes": boxes[None],
            "scores": scores[None],
            "labels": labels[None],
        }
        outputs |= self._more(features, boxes, labels, size)
        return outputs | {"converged": scores.sum(dim=0, keepdim=True) >= 0}

    def regions(
        self, features: dict[str, Tensor], boxes: Tensor, labels: Tensor, sizes: Tensor
    ) -> dict[str, Tensor]:
        """Return masks or heat maps of given ``boxes`` (1, D, 4) with their ``labels`` (1, D)."""
        return self._more(features, boxes[0], labels[0], (sizes[0, 0], sizes[0, 1]))

    @contextmanager
    def listening(self) -> Iterator[float]:
        """Let everything through that scores above 0 while the block lasts; yield the usual threshold."""
        usual = self.heads.score_thresh
        self.heads.score_thresh = 0.0
        try:
            yield float(usual)
        finally:
            self.heads.score_thresh = usual

    def _boxes(
        self, features: dict[str, Tensor], proposals: list[Tensor], size: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.heads
        pooled = heads.box_roi_pool(features, proposals, [size])
        logits, codes = heads.box_predictor(heads.box_head(pooled))
        boxes, scores, labels = heads.postprocess_detections(logits, codes, proposals, [size])
        return boxes[0], scores[0], labels[0]

    def _more(
        self, features: dict[str, Tensor], boxes: Tensor, labels: Tensor, size: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """Return masks (1, D, m, m) and heat maps (1, D, K, m, m) of the heads that there are."""
        heads, found = self.heads, {}
        if heads.has_mask():
            maps = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, [boxes], [size])))
            own = maps[torch.arange(len(labels), device=labels.device), labels]
            found["masks"] = torch.sigmoid(own)[None]
        if heads.has_keypoint():
            pooled = heads.keypoint_roi_pool(features, [boxes], [size])
            found["heatmaps"] = heads.keypoint_predictor(heads.keypoint_head(pooled))[None]
        return found


def full(model: nn.Module, inputs: InputSpec) -> tuple[nn.Module, InputSpec]:
    """Return torchvision's own graph on the canvas that ``inputs`` names, for one image a call."""
    assert isinstance(model, GeneralizedRCNN)
    _, height, width = inputs.image
    return FullDetector(model, (height, width)), replace(canvas_input(inputs), max_batch=1)
