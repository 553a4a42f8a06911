"""What torchvision itself finds on a canvas, and how well other detections agree with it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList

from compressor.base.modes import evaluation
from detection.static.pyramid import features_of

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchReport:
    """How well the detections of one image agree with a reference.

    Attributes:
        reference: detections in the reference.
        found: detections that were compared with it.
        matched: pairs of one label that agree within the limits, one to one.
        max_box_error_px: largest difference of a coordinate among the pairs.
        max_score_error: largest difference of a score among the pairs.
    """

    reference: int
    found: int
    matched: int
    max_box_error_px: float
    max_score_error: float

    @property
    def share(self) -> float:
        """Pairs over the longer list; 1 where both are empty."""
        longer = max(self.reference, self.found)
        return self.matched / longer if longer else 1.0


def reference_detections(
    detector: GeneralizedRCNN, images: Tensor, sizes: Tensor
) -> list[dict[str, NDArray[Any]]]:
    """Run torchvision's own modules, eagerly, on canvases that are already letterboxed.

    Its resizing is left out. Its RoIAlign guesses the strides from the first images that it sees, and would
    guess wrongly from a small image on a large canvas, so it is shown the canvas first.

    Args:
        detector: any R-CNN; it is not changed.
        images: (B, 3, H, W) RGB in 0..1.
        sizes: (B, 2), rows and columns of each image within the canvas.

    Returns:
        Per image ``boxes`` (n, 4), ``scores`` (n,), ``labels`` (n,), and where the model has them ``masks``
        (n, 1, m, m), ``keypoints`` (n, K, 3), ``keypoints_scores`` (n, K); all in pixels of the canvas.
    """
    detector = copy.deepcopy(detector)
    spans = [(int(rows), int(columns)) for rows, columns in sizes.tolist()]
    with evaluation(detector), torch.no_grad():
        canvas = torch.zeros_like(images)
        for blank, image, (rows, columns) in zip(canvas, images, spans, strict=True):
            blank[:, :rows, :columns] = detector.transform.normalize(image[:, :rows, :columns])
        features = features_of(detector.backbone, canvas)
        show_canvas(detector, features, (images.shape[-2], images.shape[-1]))
        boxes, _ = detector.rpn(ImageList(canvas, spans), features)
        found, _ = detector.roi_heads(features, boxes, spans)
    return [{name: value.cpu().numpy() for name, value in image.items()} for image in found]


def match(
    reference: Outputs, found: Outputs, *, min_iou: float = 0.99, max_score_error: float = 1e-3
) -> MatchReport:
    """Pair detections of one image greedily, best reference first, each with the best box that is left.

    Args:
        reference: ``boxes`` (n, 4), ``scores`` (n,), ``labels`` (n,).
        found: likewise (m, ...), without padding.
        min_iou: a pair overlaps more than this.
        max_score_error: scores of a pair differ by no more.
    """
    fits = _iou(reference["boxes"], found["boxes"])
    fits = np.where(reference["labels"][:, None] == found["labels"], fits, -1.0)
    error = np.abs(reference["scores"][:, None] - found["scores"])
    fits = np.where(error <= max_score_error, fits, -1.0)
    pairs = _greedy_pairs(fits, min_iou)
    left, right = [i for i, _ in pairs], [j for _, j in pairs]
    moved = np.abs(reference["boxes"][left] - found["boxes"][right])
    return MatchReport(
        reference=len(reference["scores"]),
        found=len(found["scores"]),
        matched=len(pairs),
        max_box_error_px=float(moved.max(initial=0.0)),
        max_score_error=float(error[left, right].max(initial=0.0)),
    )


def show_canvas(detector: GeneralizedRCNN, features: dict[str, Tensor], canvas: tuple[int, int]) -> None:
    """Fix the strides of RoIAlign from the canvas; torchvision guesses them from the first images it sees."""
    heads = detector.roi_heads
    box = next(iter(features.values())).new_tensor([[0.0, 0.0, 1.0, 1.0]])
    for pool in (heads.box_roi_pool, heads.mask_roi_pool, heads.keypoint_roi_pool):
        if pool is not None:
            pool.scales = pool.map_levels = None
            pool({name: level[:1] for name, level in features.items()}, [box], [canvas])


def _greedy_pairs(fits: NDArray[Any], min_iou: float) -> Sequence[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    free = np.ones(fits.shape[1], dtype=bool)
    for row, values in enumerate(fits):
        left = np.where(free, values, -1.0)
        if left.size and left.max() > min_iou:
            column = int(left.argmax())
            free[column] = False
            pairs.append((row, column))
    return pairs


def _iou(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return (n, m); boxes without area overlap nothing."""
    a, b = left[:, None].astype(np.float64), right[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    iou: NDArray[Any] = np.zeros_like(shared)
    np.divide(shared, areas - shared, out=iou, where=areas > shared)
    return iou
