"""How well models do: one class per task, all of them JSON-able.

Each has a ``quality`` in percent that chooses between epochs, higher is better; a ``loss`` that decides
between equal ones, lower is better; and ``describe()``, the figures in words.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Classification accuracy in percent over a number of images.

    Attributes:
        top1: share of images whose best class is right, 0..100.
        top5: share whose right class is among the best five, 0..100.
        images: how many were scored.
        loss: mean cross-entropy.
    """

    top1: float
    top5: float
    images: int
    loss: float

    @property
    def quality(self) -> float:
        """Top-1, percent."""
        return self.top1

    def describe(self) -> str:
        """Return the figures in words."""
        return f"top-1 {self.top1:.2f} %, top-5 {self.top5:.2f} % of {self.images} images"


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePrecision:
    """COCO's average precision in percent, mean over IoU 0.50:0.95 unless a threshold is in the name.

    Attributes:
        images: how many were scored.
        box: of boxes.
        box50: of boxes at IoU 0.50.
        box75: of boxes at IoU 0.75.
        mask: of masks, None for a model that finds none.
        mask50: of masks at IoU 0.50.
        keypoint: of keypoints by object keypoint similarity, None for a model that finds none.
        keypoint50: of keypoints at similarity 0.50.
    """

    images: int
    box: float
    box50: float
    box75: float
    mask: float | None = None
    mask50: float | None = None
    keypoint: float | None = None
    keypoint50: float | None = None

    @property
    def quality(self) -> float:
        """Average precision of the richest output: keypoints, else masks, else boxes."""
        return next(value for value in (self.keypoint, self.mask, self.box) if value is not None)

    @property
    def loss(self) -> float:
        """Share that is missing, 0..1."""
        return 1 - self.quality / 100

    def describe(self) -> str:
        """Return the figures in words."""
        named = {"box AP": self.box, "AP50": self.box50, "mask AP": self.mask, "keypoint AP": self.keypoint}
        figures = ", ".join(f"{name} {value:.2f} %" for name, value in named.items() if value is not None)
        return f"{figures} of {self.images} images"


Score: TypeAlias = Accuracy | AveragePrecision
"""What manifests keep."""
