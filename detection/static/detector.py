"""A torchvision R-CNN as one module of static shapes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from detection.static.atlas import AtlasLayout
from detection.static.canvas import NormalisedCanvas
from detection.static.heads import Found, StaticBoxHead, StaticKeypointHead, StaticMaskHead
from detection.static.proposals import StaticProposals
from detection.static.pyramid import features_of, probe
from detection.static.settings import StaticSettings


class StaticDetector(nn.Module):
    """Faster, Mask or Keypoint R-CNN on a canvas of one size, without control flow.

    It shares the detector's sub-modules, dense or pruned, and computes what torchvision computes on the same
    canvas: thresholds and limits are read from the detector. Every shape but the batch is static, and only
    plain operations, TopK and RoIAlign appear, so that runtimes can plan memory and capture graphs.

    Args:
        detector: torchvision's; sub-modules are shared, not copied.
        settings: canvas and sizes; `StaticSettings.of` gives the detector's own.

    Raises:
        UsageError: the detector has parts without a static form.
    """

    def __init__(self, detector: GeneralizedRCNN, settings: StaticSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = detector.backbone
        example = probe(detector, settings)
        self.rpn = StaticProposals(detector.rpn, example, settings)
        heads = detector.roi_heads
        self.layout = AtlasLayout(heads.box_roi_pool, example, settings.height)
        self.boxes = StaticBoxHead(heads, self.layout, self.rpn.proposals, settings)
        self.masks = StaticMaskHead(heads, self.layout) if heads.has_mask() else None
        self.keypoints = StaticKeypointHead(heads, self.layout) if heads.has_keypoint() else None
        self.canvas = NormalisedCanvas(detector.transform, next(detector.parameters()).device)

    def forward(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Detect.

        Args:
            images: (B, 3, H, W) RGB in 0..1, the image at the top left of the canvas, anything around it.
            sizes: (B, 2) float, rows and columns of the image within the canvas.

        Returns:
            Tensors with the batch first. D is ``settings.detections``, or the number of (proposal, class)
            pairs where that is less; rows are best first, and those not used have score 0 and label 0.

            * ``num_detections`` (B,) int64: rows in use.
            * ``boxes`` (B, D, 4): left, top, right, bottom in pixels of the canvas, within the image.
            * ``scores`` (B, D) and ``labels`` (B, D) int64.
            * ``masks`` (B, D, m, m), Mask R-CNN: probabilities of the label on a grid over the box.
            * ``heatmaps`` (B, D, K, m, m), Keypoint R-CNN: logits on a grid over the box.
            * ``converged`` (B,) bool: all suppressions reached their fixed point, which is greedy NMS, and
              more than ``settings.candidates`` pairs were not needed to fill D rows. Where it is false,
              detections may differ from torchvision's: raise ``nms_iterations`` or ``candidates``.
        """
        return self.detect(self.features(images, sizes), images, sizes)

    def features(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return the feature maps by name."""
        return features_of(self.backbone, self.canvas(images, sizes))

    def detect(self, features: Mapping[str, Tensor], images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return what `forward` does, from its feature maps; ``images`` are not looked at."""
        proposals = self.rpn(features, sizes)
        atlas = self.layout(features)
        found = self.boxes(atlas, proposals, sizes)
        outputs = {
            "num_detections": (found.scores > 0).sum(dim=1),
            "boxes": found.boxes,
            "scores": found.scores,
            "labels": found.labels,
        }
        outputs |= self._regions(atlas, found)
        return outputs | {"converged": proposals.settled & found.exact}

    def regions(
        self, features: Mapping[str, Tensor], boxes: Tensor, labels: Tensor, sizes: Tensor
    ) -> dict[str, Tensor]:
        """Return masks or heat maps of given ``boxes`` (B, D, 4) with their ``labels`` (B, D)."""
        exact = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        found = Found(boxes=boxes, scores=torch.ones_like(boxes[..., 0]), labels=labels, exact=exact)
        return self._regions(self.layout(features), found)

    @contextmanager
    def listening(self) -> Iterator[float]:
        """Let everything through that scores above 0 while the block lasts; yield the usual threshold."""
        usual = self.boxes.score_thresh
        self.boxes.score_thresh = 0.0
        try:
            yield usual
        finally:
            self.boxes.score_thresh = usual

    def _regions(self, atlas: Tensor, found: Found) -> dict[str, Tensor]:
        outputs = {}
        if self.masks is not None:
            outputs["masks"] = self.masks(atlas, found)
        if self.keypoints is not None:
            outputs["heatmaps"] = self.keypoints(atlas, found)
        return outputs
