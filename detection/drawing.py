"""Detections as pictures: boxes with names and scores, masks, skeletons, captions, side by side."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks

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

Namer = Callable[[int], str]


def coco_names(classes: int) -> tuple[str, ...]:
    """Return the names of a published model's classes; numbers, where there are not as many as in COCO."""
    from torchvision.models import detection as tv

    for weights in (tv.FasterRCNN_ResNet50_FPN_Weights, tv.KeypointRCNN_ResNet50_FPN_Weights):
        categories = weights.DEFAULT.meta["categories"]
        if classes == len(categories):
            return (categories[0], "person") if classes == 2 else tuple(categories)
    return tuple(str(number) for number in range(classes))


def draw(image: Tensor, found: Detections, name: Namer, *, min_score: float = 0.5) -> Tensor:
    """Return a copy of an image with the detections on it.

    Args:
        image: uint8 of shape (3, height, width).
        found: in pixels of the image.
        name: says what a label means.
        min_score: weaker detections are left out.
    """
    rows = np.flatnonzero(found.scores >= min_score)
    if not rows.size:
        return image.clone()
    colours = [_COLOURS[int(label) % len(_COLOURS)] for label in found.labels[rows]]
    if found.masks is not None:
        image = draw_segmentation_masks(image, torch.from_numpy(found.masks[rows]), colors=colours, alpha=0.5)
    texts = [f"{name(int(found.labels[i]))} {found.scores[i]:.2f}" for i in rows]
    image = draw_bounding_boxes(
        image, _drawable(found.boxes[rows], image), labels=texts, colors=colours, width=2
    )
    if found.keypoints is not None:
        points = torch.from_numpy(found.keypoints[rows, :, :2])
        joined = list(SKELETON) if points.shape[1] == 17 else None
        image = draw_keypoints(image, points, connectivity=joined, colors="yellow", radius=2, width=2)
    return image


def _drawable(boxes: np.ndarray, image: Tensor) -> Tensor:
    """Return boxes of at least one pixel inside the image; the drawing function refuses others."""
    height, width = image.shape[-2:]
    corners = torch.from_numpy(boxes).float()
    left_top = torch.minimum(corners[:, :2], torch.tensor([width - 1.0, height - 1.0])).clamp(min=0)
    right_bottom = torch.maximum(corners[:, 2:], left_top + 1)
    return torch.cat([left_top, right_bottom], dim=1)


def captioned(image: Tensor, text: str) -> Tensor:
    """Return an image with a line of text on a dark bar at its top left."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    pen = ImageDraw.Draw(picture)
    _, _, right, bottom = pen.textbbox((6, 4), text)
    pen.rectangle((0, 0, right + 6, bottom + 4), fill=(0, 0, 0))
    pen.text((6, 4), text, fill=(255, 255, 255))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def beside(pictures: Sequence[Tensor]) -> Tensor:
    """Return pictures of one size next to each other, uint8 (3, height, n * width + gaps)."""
    gap = torch.zeros(3, pictures[0].shape[1], _GAP_PX, dtype=torch.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return torch.cat(parts[1:], dim=2)
