"""Put an image of any size into the canvas of a detector. `detection.postprocess` undoes it. NumPy only.

The image keeps its aspect and lies at the top left; the rest of the canvas is zero. Size and interpolation
are those of torchvision's detection transform: fractions of a pixel are cut off; bilinear, half-pixel
centres, no antialiasing. One pixel more, and a detector sees every edge elsewhere than where it learned it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Letterbox:
    """An image within a canvas.

    Attributes:
        canvas: float32 (3, height, width) in 0..1.
        size: rows and columns of the image within the canvas.
        original: rows and columns of the image as it was given.
        scale: canvas pixels per image pixel, vertically and horizontally; they differ by the rounding of
            ``size``.
    """

    canvas: NDArray[np.float32]
    size: tuple[int, int]
    original: tuple[int, int]
    scale: tuple[float, float]


def letterbox(image: NDArray[Any], height: int, width: int) -> Letterbox:
    """Scale an image by min(height / rows, width / columns) and lay it on a canvas.

    Args:
        image: (3, rows, columns) RGB, uint8 in 0..255 or floating point in 0..1.
        height: rows of the canvas.
        width: columns of the canvas.

    Raises:
        UsageError: not such an image, or one without pixels.
    """
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise UsageError(
            f"the image has shape {image.shape}",
            "give (3, rows, columns) with at least one pixel; convert grey or RGBA images to RGB",
        )
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise UsageError(
            f"the image has type {image.dtype}", "give uint8 in 0..255 or floating point in 0..1"
        )
    _, rows, columns = image.shape
    factor = min(height / rows, width / columns)
    size = (_scaled(rows, factor, height), _scaled(columns, factor, width))
    canvas = np.zeros((3, height, width), dtype=np.float32)
    canvas[:, : size[0], : size[1]] = _resized(image, size)
    return Letterbox(
        canvas=canvas,
        size=size,
        original=(rows, columns),
        scale=(size[0] / rows, size[1] / columns),
    )


def _scaled(pixels: int, factor: float, limit: int) -> int:
    return min(limit, max(1, math.floor(pixels * factor)))


def _resized(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    low, high, part = _taps(image.shape[1], size[0])
    rows = _mixed(_unit(image[:, low]), _unit(image[:, high]), part[:, None])
    low, high, part = _taps(image.shape[2], size[1])
    return _mixed(rows[:, :, low], rows[:, :, high], part)


def _unit(pixels: NDArray[Any]) -> NDArray[np.float32]:
    scale = 255 if pixels.dtype == np.uint8 else 1
    return pixels.astype(np.float32) / np.float32(scale)


def _mixed(
    low: NDArray[np.float32], high: NDArray[np.float32], part: NDArray[np.float32]
) -> NDArray[np.float32]:
    return low + (high - low) * part


def _taps(pixels: int, out: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return both neighbours of every output pixel's centre, and how far it lies towards the second."""
    half = np.float32(0.5)  # PyTorch computes places in single precision, too
    centre = np.maximum((np.arange(out, dtype=np.float32) + half) * np.float32(pixels / out) - half, 0)
    low = np.minimum(centre.astype(np.intp), pixels - 1)
    return low, np.minimum(low + 1, pixels - 1), centre - low.astype(np.float32)
