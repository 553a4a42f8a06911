"""A detector as one differentiable function of one tensor, for tracing channels and counting work.

Torchvision's forward passes lists of images and loses every channel at NMS, whose boxes are plain
numbers to what follows. The view runs backbone, FPN, RPN head and all RoI heads on fixed boxes instead: as
many as the detector processes in deployment, so that MACs are those of deployment too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_SIDES = (32, 112, 224, 448)
"""One box side per level of a feature pyramid (Lin et al. 2017, equation 1)."""


class DetectorView(nn.Module):
    """The sub-modules of a torchvision R-CNN under their own names, run straight through.

    It shares its sub-modules with the detector: what is seen of one is true of the other.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone: nn.Module = detector.backbone  # type: ignore[assignment]
        self.rpn: nn.Module = detector.rpn  # type: ignore[assignment]
        self.roi_heads: nn.Module = detector.roi_heads  # type: ignore[assignment]
        self.transform: nn.Module = detector.transform  # type: ignore[assignment]

    def forward(self, images: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Return every head's raw output.

        Args:
            images: one normalised image of shape (1, 3, height, width), or photographs as the detector takes
                them, each (3, height, width), which are gone through one by one.
        """
        if isinstance(images, Tensor):
            return self._straight(images)
        prepared = [self.transform([image])[0].tensors for image in images]
        return [output for image in prepared for output in self._straight(image)]

    def _straight(self, images: Tensor) -> list[Tensor]:
        features = self.backbone(images)
        objectness, deltas = self.rpn.head(list(features.values()))  # type: ignore[operator]
        return [*objectness, *deltas, *self._regions(features, images)]

    def _regions(self, features: dict[str, Tensor], images: Tensor) -> list[Tensor]:
        heads, size = self.roi_heads, (images.shape[-2], images.shape[-1])
        proposals: int = self.rpn.post_nms_top_n()  # type: ignore[operator]
        detections: int = heads.detections_per_img  # type: ignore[assignment]
        outputs: list[Tensor] = []
        for part, count in (("box", proposals), ("mask", detections), ("keypoint", detections)):
            if getattr(heads, f"{part}_roi_pool", None) is None:
                continue
            pool, head = getattr(heads, f"{part}_roi_pool"), getattr(heads, f"{part}_head")
            pooled = pool(features, [fixed_boxes(count, size)], [size])
            found = getattr(heads, f"{part}_predictor")(head(pooled))
            outputs += [found] if isinstance(found, Tensor) else list(found)
        return outputs


def fixed_boxes(count: int, size: tuple[int, int]) -> Tensor:
    """Return (count, 4) boxes in a ``size`` = (height, width) image whose sides visit every level in turn."""
    height, width = size
    sides = torch.tensor(_SIDES, dtype=torch.float32).repeat(-(-count // len(_SIDES)))[:count]
    corners = torch.stack([sides.clamp(max=width), sides.clamp(max=height)], dim=1)
    return torch.cat([torch.zeros(count, 2), corners], dim=1)
