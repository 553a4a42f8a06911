"""From the arrays of a static detector to detections on the image. NumPy only, and nothing else of ours.

The file can be copied beside an exported model. It undoes the letterbox, lays masks onto the image and reads
keypoints off heat maps, with the same arithmetic as torchvision (``paste_masks_in_image`` and
``heatmaps_to_keypoints`` of its ``roi_heads``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_MASK_THRESHOLD = 0.5
_BICUBIC = -0.75  # the constant of PyTorch's bicubic kernel


def decode(
    outputs: Mapping[str, Array],
    index: int,
    scale: tuple[float, float],
    size: tuple[int, int],
    threshold: float = 0.0,
) -> dict[str, Array]:
    """Return the detections of one image, best first, in pixels of the image as it was given.

    Args:
        outputs: of the detector, with the batch first: ``num_detections``, ``boxes``, ``scores``, ``labels``,
            and ``masks`` or ``heatmaps`` where the model has them.
        index: image within the batch.
        scale: canvas pixels per image pixel, vertically and horizontally.
        size: rows and columns of the original image.
        threshold: detections must score more than this.

    Returns:
        ``boxes`` float32 (n, 4): left, top, right, bottom; ``scores`` float32 (n,); ``labels`` int64 (n,);
        ``masks`` bool (n, rows, columns); ``keypoints`` float32 (n, K, 3): x, y, 1; ``keypoint_scores``
        float32 (n, K).
    """
    used = int(outputs["num_detections"][index])
    keep = np.flatnonzero(outputs["scores"][index, :used] > threshold)
    canvas_boxes = outputs["boxes"][index, keep].astype(np.float32)
    boxes = boxes_on_image(canvas_boxes, scale, size)
    found = {
        "boxes": boxes,
        "scores": outputs["scores"][index, keep].astype(np.float32),
        "labels": outputs["labels"][index, keep].astype(np.int64),
    }
    if "masks" in outputs:
        found["masks"] = paste_masks(outputs["masks"][index, keep], boxes, size)
    if "heatmaps" in outputs:
        points, found["keypoint_scores"] = read_keypoints(outputs["heatmaps"][index, keep], canvas_boxes)
        factors = np.array([scale[1], scale[0], 1], dtype=np.float32)
        found["keypoints"] = points / factors
    return found


def boxes_on_image(boxes: Array, scale: tuple[float, float], size: tuple[int, int]) -> NDArray[np.float32]:
    """Map boxes (n, 4) on the canvas to pixels of the original image, and clip them to it.

    Args:
        boxes: left, top, right, bottom.
        scale: canvas pixels per image pixel, vertically and horizontally.
        size: rows and columns of the original image.
    """
    factors = np.array([scale[1], scale[0]] * 2, dtype=np.float32)
    limits = np.array([size[1], size[0]] * 2, dtype=np.float32)
    return np.clip(boxes / factors, 0, limits)


def paste_masks(masks: Array, boxes: Array, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Lay masks onto an image.

    Args:
        masks: (n, m, m) probabilities on a grid over each box.
        boxes: (n, 4) in pixels of the image.
        size: rows and columns of the image.

    Returns:
        (n, rows, columns): where the probability exceeds one half.
    """
    cells = masks.shape[-1]
    padded = np.pad(masks.astype(np.float32), ((0, 0), (1, 1), (1, 1)))
    corners = _widened(boxes, (cells + 2) / cells)
    pasted = np.zeros((len(masks), *size), dtype=bool)
    for image, mask, (left, top, right, bottom) in zip(pasted, padded, corners.tolist(), strict=True):
        rows = slice(max(top, 0), max(min(bottom + 1, size[0]), 0))
        columns = slice(max(left, 0), max(min(right + 1, size[1]), 0))
        down = _linear(cells + 2, max(bottom - top + 1, 1), rows.start - top, rows.stop - top)
        across = _linear(cells + 2, max(right - left + 1, 1), columns.start - left, columns.stop - left)
        image[rows, columns] = down @ mask @ across.T > _MASK_THRESHOLD
    return pasted


def read_keypoints(heatmaps: Array, boxes: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the peak of every heat map, stretched bicubically to its box.

    Args:
        heatmaps: (n, K, m, m) logits on a grid over each box.
        boxes: (n, 4) in pixels of the canvas.

    Returns:
        Points (n, K, 3): x, y in pixels of the canvas and 1 for visible; the heights of the peaks (n, K).
    """
    count, points = heatmaps.shape[:2]
    found = np.ones((count, points, 3), dtype=np.float32)
    scores = np.zeros((count, points), dtype=np.float32)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1).astype(np.float32)
    for i, (maps, (width, height)) in enumerate(zip(heatmaps, sides, strict=True)):
        rows, columns = int(np.ceil(height)), int(np.ceil(width))
        stretched = _cubic(maps.shape[1], rows) @ maps.astype(np.float32) @ _cubic(maps.shape[2], columns).T
        flat = stretched.reshape(points, rows * columns)
        peak = flat.argmax(axis=1)
        found[i, :, 0] = (peak % columns + np.float32(0.5)) * (width / columns) + boxes[i, 0]
        found[i, :, 1] = (peak // columns + np.float32(0.5)) * (height / rows) + boxes[i, 1]
        scores[i] = flat[np.arange(points), peak]
    return found, scores


def _widened(boxes: Array, factor: float) -> NDArray[np.int64]:
    """Scale boxes (n, 4) about their centres, and cut to whole pixels."""
    half = (boxes[:, 2:] - boxes[:, :2]) * np.float32(0.5) * np.float32(factor)
    centre = (boxes[:, 2:] + boxes[:, :2]) * np.float32(0.5)
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.int64)


def _linear(cells: int, pixels: int, start: int, stop: int) -> NDArray[np.float32]:
    """Return (stop - start, cells): how each output pixel of a stretch to ``pixels`` mixes the cells."""
    place = np.maximum(_places(np.arange(start, stop), cells / pixels), 0)
    low = np.minimum(place.astype(np.int64), cells - 1)
    part = place - low.astype(np.float32)
    weights = np.zeros((len(place), cells), dtype=np.float32)
    row = np.arange(len(place))
    weights[row, low] = 1 - part
    weights[row, np.minimum(low + 1, cells - 1)] += part
    return weights


def _cubic(cells: int, pixels: int) -> NDArray[np.float32]:
    """Return (pixels, cells): the bicubic mixture of cells, with the outermost ones continued."""
    place = _places(np.arange(pixels), cells / pixels)
    low = np.floor(place).astype(np.int64)
    part = place - low.astype(np.float32)
    weights = np.zeros((pixels, cells), dtype=np.float32)
    row = np.arange(pixels)
    for tap in range(-1, 3):
        distance = np.abs(tap - part)
        near = ((_BICUBIC + 2) * distance - (_BICUBIC + 3)) * distance**2 + 1
        far = _BICUBIC * (((distance - 5) * distance + 8) * distance - 4)
        weight = np.where(distance <= 1, near, far)
        np.add.at(weights, (row, np.clip(low + tap, 0, cells - 1)), weight.astype(np.float32))
    return weights


def _places(pixels: NDArray[np.int64], scale: float) -> NDArray[np.float32]:
    """Return the centres of output pixels in cells; in single precision, as PyTorch computes them."""
    half = np.float32(0.5)
    return (pixels.astype(np.float32) + half) * np.float32(scale) - half
