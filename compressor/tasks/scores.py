"""How well models do: one class per task, all of them JSON-able.

Each has a ``quality`` in percent that chooses between epochs, higher is better; a ``loss`` that decides
between equal ones, lower is better; and ``describe()``, the figures in words.
"""

from dataclasses import dataclass
from typing import Self, TypeAlias

from compressor.base.errors import UsageError
from compressor.base.text import foreign


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
    """COCO's average precision in percent, 0..100, for boxes, masks and keypoints; None where not measured.

    A field without a number is the mean over overlaps .50, .55, ... .95; 50 and 75 are at one overlap.
    Overlap is intersection over union, for keypoints the object keypoint similarity
    (https://cocodataset.org/#detection-eval).

    Attributes:
        images: how many were scored.
        box: of boxes.
        box50: of boxes at overlap .5.
        box75: of boxes at overlap .75.
        mask: of masks.
        mask50: of masks at overlap .5.
        mask75: of masks at overlap .75.
        keypoint: of keypoints.
        keypoint50: of keypoints at similarity .5.
        keypoint75: of keypoints at similarity .75.
    """

    images: int
    box: float | None = None
    box50: float | None = None
    box75: float | None = None
    mask: float | None = None
    mask50: float | None = None
    mask75: float | None = None
    keypoint: float | None = None
    keypoint50: float | None = None
    keypoint75: float | None = None

    @property
    def quality(self) -> float:
        """The figure that chooses epochs, in percent: of keypoints or masks where measured, else of boxes."""
        return next((value for value in (self.keypoint, self.mask, self.box) if value is not None), 0.0)

    @property
    def loss(self) -> float:
        """Share of the quality that is missing, 0..1."""
        return 1 - self.quality / 100

    def describe(self) -> str:
        """Return one line, for instance ``box AP 37.1 (AP50 58.2, AP75 40.3), 128 images``."""
        rows = (
            ("box", self.box, self.box50, self.box75),
            ("mask", self.mask, self.mask50, self.mask75),
            ("keypoint", self.keypoint, self.keypoint50, self.keypoint75),
        )
        parts = [
            f"{what} AP {mean:.1f} (AP50 {at50:.1f}, AP75 {at75:.1f})"
            for what, mean, at50, at75 in rows
            if mean is not None and at50 is not None and at75 is not None
        ]
        return ", ".join([*parts, f"{self.images} images"])


Score: TypeAlias = Accuracy | AveragePrecision
"""What manifests keep."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a model was scored, and on what.

    Attributes:
        split: of the data: ``train``, ``val`` or ``test``.
        when: what the model was then: ``dense``, ``before`` a training, ``pruned``, ``repaired`` or
            ``fine-tuned``; "" where there was one moment only.
    """

    split: str
    when: str = ""

    def __str__(self) -> str:
        return f"{self.split} {self.when}" if self.when else self.split

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the moment that was written as ``test fine-tuned``.

        Raises:
            UsageError: the text names no split.
        """
        split, _, when = text.partition(" ")
        if not split or not when:
            split, when = text, ""
        if not text:
            raise UsageError(
                f"{foreign(text)!r} is no moment of a score", "write split and moment: test pruned."
            )
        return cls(split, when)
