"""Detections as pictures: boxes with names and scores, masks, skeletons, captions, side by side."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks

from compressor.base.text import foreign
from detection.coco import Finds
from detection.types import Detections

SKELETON: Final = (
    (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12),
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
"""Pairs of COCO's 17 points that are joined."""

_COLOURS: Final = (
    (230, 60, 60), (60, 160, 230), (80, 190, 80), (240, 170, 40), (160, 90, 210), (30, 190, 190),
    (230, 90, 170), (150, 160, 40),
)  # fmt: skip
_GAP_PX: Final = 4
_SMALLEST_TEXT_PX: Final = 11
_LONGEST_NAME: Final = 60


def usual_names(classes: int, finds: Finds) -> tuple[str, ...]:
    """Return the names of a published model's classes, and plain numbers for any other model.

    Args:
        classes: of the model, background included.
        finds: what it finds besides boxes; one class with keypoints is a person.
    """
    from torchvision.models import detection as tv

    coco = tv.FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    if classes == len(coco):
        return tuple(coco)
    if finds == "keypoints" and classes == 2:
        return tuple(tv.KeypointRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"])
    return tuple(str(number) for number in range(classes))


def draw(image: Tensor, found: Detections, names: Sequence[str], *, min_score: float = 0.5) -> Tensor:
    """Return a copy of an image with the detections on it.

    Args:
        image: uint8 of shape (3, height, width).
        found: in pixels of the image.
        names: what the labels mean.
        min_score: weaker detections are left out.
    """
    rows = np.flatnonzero(found.scores >= min_score)
    if not rows.size:
        return image.clone()
    colours = [_COLOURS[int(label) % len(_COLOURS)] for label in found.labels[rows]]
    if found.masks is not None:
        image = draw_segmentation_masks(image, torch.from_numpy(found.masks[rows]), alpha=0.5, colors=colours)
    shown = [foreign(names[int(found.labels[row])], _LONGEST_NAME) for row in rows]
    texts = [f"{name} {score:.2f}" for name, score in zip(shown, found.scores[rows], strict=True)]
    boxes = _drawable(found.boxes[rows], image)
    image = draw_bounding_boxes(image, boxes, labels=texts, colors=colours, width=2)
    return image if found.keypoints is None else _with_skeletons(image, found.keypoints[rows])


def _drawable(boxes: NDArray[np.float32], image: Tensor) -> Tensor:
    """Return boxes inside the image, none inside out: the drawing function refuses others."""
    height, width = image.shape[-2:]
    ends = torch.tensor([width - 1.0, height - 1.0] * 2)
    corners = torch.minimum(torch.from_numpy(boxes).float().nan_to_num(), ends).clamp(min=0)
    return torch.cat([corners[:, :2], torch.maximum(corners[:, :2], corners[:, 2:])], dim=1)


def _with_skeletons(image: Tensor, keypoints: NDArray[np.float32]) -> Tensor:
    points = torch.from_numpy(keypoints)
    joined = list(SKELETON) if points.shape[1] == 17 else None
    drawn: Tensor = draw_keypoints(
        image,
        points[..., :2],
        connectivity=joined,
        colors="yellow",
        radius=2,
        width=2,
        visibility=points[..., 2] > 0,
    )
    return drawn


def captioned(image: Tensor, text: str) -> Tensor:
    """Return an image with a line of text on a dark bar at its top left, larger on larger images.

    Text of several lines is written as one, line breaks by number.
    """
    text = foreign(text)
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(_SMALLEST_TEXT_PX, picture.height // 32))
    _, _, right, bottom = pen.textbbox((6, 4), text, font=font)
    pen.rectangle((0, 0, right + 6, bottom + 4), fill=(0, 0, 0))
    pen.text((6, 4), text, fill=(255, 255, 255), font=font)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def beside(pictures: Sequence[Tensor]) -> Tensor:
    """Return pictures of one size next to each other, uint8 (3, height, n * width + gaps)."""
    gap = torch.zeros(3, pictures[0].shape[1], _GAP_PX, dtype=torch.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return torch.cat(parts[1:], dim=2)
