"""Outlines of objects: polygons and run-length codes, checked and turned into masks.

pycocotools fills the polygons, but does not read the codes: it leaves pixels that a damaged code does not
reach uninitialised, and its decoder warns under NumPy 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detection.coco.extra import require
from detection.coco.records import ImageRecord, ObjectRecord, RunLengths

_SMALLEST = 6  # numbers in a polygon of three points
_SIDES = 4
_SLACK = 10_000  # steps, for the smallest images


def polygons_of(outline: list[list[float]] | None) -> list[list[float]]:
    """Return the polygons that enclose something: an even count of numbers, three points or more."""
    return [polygon for polygon in outline or [] if len(polygon) >= _SMALLEST and len(polygon) % 2 == 0]


def misfit(polygons: list[list[float]], image: ImageRecord) -> str:
    """Say why polygons are no outline in an image, "" where they may be one.

    Native code fills them, and takes memory for every pixel that their edges pass: so corners may lie at most
    one image outside, and edges add up to no more than the pixels of the image have sides.
    """
    for side, size in (("x", image.width), ("y", image.height)):
        first = "xy".index(side)
        for polygon in polygons:
            low, high = min(polygon[first::2]), max(polygon[first::2])
            if low < -size or high > 2 * size:
                return f"reaches from {low:g} to {high:g} in {side}, where the image has {size} pixels"
    most = _SIDES * image.width * image.height + _SLACK
    corners = sum(map(len, polygons)) // 2
    # exact only where the cheap bound does not settle it: data sets have a million of them
    if corners * 3 * max(image.width, image.height) > most and (length := _length(polygons)) > most:
        return f"is {length:,.0f} pixels long, where the image has {image.width * image.height:,} pixels"
    return ""


def _length(polygons: list[list[float]]) -> float:
    """Return how many steps from pixel to pixel the edges take."""
    corners = (np.array(polygon).reshape(-1, 2) for polygon in polygons)
    return sum(float(np.abs(np.roll(c, -1, axis=0) - c).max(axis=1).sum()) for c in corners)


def covers(outline: RunLengths, image: ImageRecord) -> bool:
    """Say whether a run-length code describes every pixel of an image once."""
    try:
        counts = _counts(outline.counts)
    except (ValueError, OverflowError):
        return False
    size = (image.height, image.width)
    return outline.size == size and counts.sum() == image.height * image.width and bool((counts >= 0).all())


def mask_of(found: ObjectRecord, image: ImageRecord) -> NDArray[np.uint8]:
    """Return the mask of an object with a checked outline: uint8 of shape (height, width), 0 or 1.

    It is stored down the columns.

    Raises:
        BackendMissingError: the outline is a polygon and pycocotools is not installed.
    """
    if isinstance(found.segmentation, RunLengths):
        counts = _counts(found.segmentation.counts)
    else:
        counts = _counts(_filled(found.segmentation or [], image))
    values = np.arange(len(counts)) % 2
    return np.repeat(values.astype(np.uint8), counts).reshape(image.width, image.height).T


def outline_of(found: ObjectRecord) -> list[list[float]] | dict[str, Any]:
    """Return an outline in the form that the COCO libraries take: polygons, or size and counts."""
    outline = found.segmentation
    if isinstance(outline, RunLengths):
        return {"size": list(outline.size), "counts": outline.counts}
    return outline or []


def _filled(polygons: list[list[float]], image: ImageRecord) -> str:
    """Return the run-length text of the pixels inside any of the polygons, as COCO's tools fill them."""
    codes = require("pycocotools.mask")
    filled = codes.merge(codes.frPyObjects(polygons, image.height, image.width))
    text: str = filled["counts"].decode("ascii")
    return text


def _counts(code: str | list[int]) -> NDArray[np.int64]:
    """Return the run lengths, zeros first, of a list or of compressed text.

    A character is five bits of a number, lowest first, plus 48; bit 5 says that more follow, bit 4 of the
    last one is the sign. From the fourth on, a number is the difference to the one two places before it
    (rleToString in pycocotools' maskApi.c).
    """
    if isinstance(code, list):
        return np.array(code, dtype=np.int64)
    bits = np.frombuffer(code.encode(), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((bits & 0x20) == 0)
    if not len(ends):
        return ends
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    shifts = 5 * (np.arange(ends[-1] + 1) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((bits[: ends[-1] + 1] & 0x1F) << shifts, starts)
    numbers -= np.where(bits[ends] & 0x10, 1 << 5 * lengths, 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
