"""What is fixed when a detector becomes a graph of static shapes."""

from dataclasses import dataclass
from typing import Final, Literal, Self

from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from compressor.base.errors import UsageError
from compressor.base.modes import evaluation

Nms = Literal["iterated", "op"]

CANVAS_MULTIPLE: Final = 32
"""Torchvision pads images to this, so that every level of the pyramid halves without a remainder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """Sizes of the graph.

    Attributes:
        height: rows of the canvas, a multiple of 32.
        width: columns of the canvas, a multiple of 32.
        pre_nms: best anchors of each pyramid level that are decoded. TensorRT's TopK ends at 3840.
        proposals: boxes that the box head sees, per image. Its time is proportional to them.
        detections: rows of the outputs. Mask and keypoint heads run on all of them, used or not.
        candidates: best (proposal, class) pairs that enter the last suppression.
        nms: ``iterated`` keeps every shape static, ``op`` is ONNX NonMaxSuppression.
        nms_block: boxes that are suppressed at once, see `detection.static.nms`.
        nms_iterations: rounds per block; as many as ``nms_block`` are always exact.

    Raises:
        UsageError: a number that no graph can be built from.
    """

    height: int
    width: int
    pre_nms: int = 1000
    proposals: int = 1000
    detections: int = 100
    candidates: int = 1000
    nms: Nms = "iterated"
    nms_block: int = 256
    nms_iterations: int = 12

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if value < CANVAS_MULTIPLE or value % CANVAS_MULTIPLE:
                raise UsageError(
                    f"{name} of the canvas is {value}",
                    f"give a multiple of {CANVAS_MULTIPLE}, for instance"
                    f" {max(1, round(value / CANVAS_MULTIPLE)) * CANVAS_MULTIPLE}",
                )
        for name in ("pre_nms", "proposals", "detections", "candidates", "nms_block", "nms_iterations"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", "give a number from 1")
        if self.candidates < self.detections:
            raise UsageError(
                f"{self.candidates} candidates cannot become {self.detections} detections",
                "give at least as many candidates, better ten times as many",
            )

    @classmethod
    def of(cls, detector: GeneralizedRCNN, *, height: int, width: int, nms: Nms = "iterated") -> Self:
        """Return the settings with which the graph computes what ``detector`` computes."""
        detections = detector.roi_heads.detections_per_img
        with evaluation(detector):
            return cls(
                height=height,
                width=width,
                pre_nms=detector.rpn.pre_nms_top_n(),
                proposals=detector.rpn.post_nms_top_n(),
                detections=detections,
                candidates=max(1000, detections),
                nms=nms,
            )
