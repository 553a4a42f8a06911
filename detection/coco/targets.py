"""Targets as torchvision's detectors are trained on them, and their mirror images."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from detection.coco.layout import Finds
from detection.coco.outlines import mask_of
from detection.coco.records import CategoryRecord, ImageRecord
from detection.coco.truth import GroundTruth, clipped

Target: TypeAlias = dict[str, NDArray[np.generic]]
"""By name: ``boxes`` float32 (n, 4) left, top, right, bottom; ``labels`` int64 (n,); ``image_id`` int64 ();
``masks`` uint8 (n, height, width); ``keypoints`` float32 (n, points, 3)."""


def target_of(truth: GroundTruth, image: ImageRecord, task: Finds, *, points: int = 0) -> Target:
    """Return the target of one image: its objects but no crowds, boxes clipped to the image.

    Args:
        truth: objects and class numbers.
        image: one of its images.
        task: adds masks or keypoints.
        points: keypoints of one object.
    """
    objects = truth.learnable(image)
    boxes = [clipped(found, image) for found in objects]
    target: Target = {
        "boxes": np.array(boxes, dtype=np.float32).reshape(-1, 4),
        "labels": np.array([truth.categories.label(found.category_id) for found in objects], dtype=np.int64),
        "image_id": np.array(image.id, dtype=np.int64),
    }
    if task == "masks":
        # Kept down the columns, as they are stored: turning them round takes longer than everything else.
        columns = np.array([mask_of(found, image).T for found in objects], dtype=np.uint8)
        target["masks"] = columns.reshape(-1, image.width, image.height).transpose(0, 2, 1)
    if task == "keypoints":
        flat = [found.keypoints or [0.0] * points * 3 for found in objects]
        target["keypoints"] = np.array(flat, dtype=np.float32).reshape(-1, points, 3)
    return target


def mirrored_target(target: Target, width: int, swap: Sequence[int]) -> Target:
    """Return the target of the image mirrored left to right.

    x becomes width - x, so that mirroring twice restores a target. Left and right keypoints change places;
    points without a label stay at the origin, as COCO stores them.

    Args:
        target: of the image as it is.
        width: of the image in pixels.
        swap: for every keypoint, the position of its counterpart.
    """
    mirrored = dict(target)
    boxes = target["boxes"].copy()
    boxes[:, [0, 2]] = width - target["boxes"][:, [2, 0]]
    mirrored["boxes"] = boxes
    if "masks" in target:
        mirrored["masks"] = target["masks"][:, :, ::-1].copy(order="K")
    if "keypoints" in target:
        points = target["keypoints"][:, list(swap)]
        points[..., 0] = width - points[..., 0]
        points[points[..., 2] == 0] = 0
        mirrored["keypoints"] = points
    return mirrored


def counterparts(category: CategoryRecord) -> tuple[int, ...]:
    """Return, for every keypoint, the position of its mirror image: left eye and right eye change places.

    A point whose name has no counterpart (the nose) is its own.
    """
    names = list(category.keypoints)
    other = [_other_side(name) for name in names]
    return tuple(names.index(o) if o in names else i for i, o in enumerate(other))


def _other_side(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")
