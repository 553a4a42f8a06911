"""Two figures of each thing against each other, with names that do not cover one another."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from bench.report.plots.canvas import axis_height, breadth, fitted, mark, path, svg, words, x_axis, y_axis
from bench.report.plots.scales import Scale, linear

_LEFT, _RIGHT, _TOP = 46, 16, 34
_REACH: Final = (10, 24, 38)
"""How far names may stand from their marks, px."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing.

    Attributes:
        x: first figure.
        y: second figure.
        label: written beside it; "" for none.
        hint: for the mouse.
        shape: number of its mark, and of its colour.
        hollow: whether its mark is only outlined.
    """

    x: float
    y: float
    label: str = ""
    hint: str = ""
    shape: int = 0
    hollow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What both figures are, and how they become pixels.

    Attributes:
        x_title: first figure, with its unit.
        y_title: second figure, with its unit; written above its axis.
        scale: `scales.linear` or `scales.logarithmic`, for both.
    """

    x_title: str
    y_title: str
    scale: Callable[..., Scale] = linear


def scatter(
    points: Sequence[Point], axes: Axes, legend: Sequence[str], front: Sequence[Point], width: int
) -> Element:
    """Return marks on two axes.

    Args:
        points: in the order in which they get their names; those that come first have more room.
        axes: of both figures.
        legend: what each shape is; "" and none for no legend.
        front: points that steps join, in order of the first figure.
        width: px.
    """
    top = _TOP + 20.0 * len(legend)
    height = top + (330 if width > 500 else 270)
    x = axes.scale(
        [point.x for point in points], _LEFT + 12, width - _RIGHT - 12, count=7 if width > 500 else 4
    )
    y = axes.scale([point.y for point in points], height - 12, top + 12, count=6)
    made = svg(width, height + axis_height(x, axes.x_title))
    x_axis(made, x, top, height, axes.x_title)
    y_axis(made, y, _LEFT, width - _RIGHT)
    words(made, (2, top - 12), axes.y_title, "axis")
    for index, text in enumerate(legend):
        mark(made, (10, 10 + 20.0 * index), index, f"mark c{index}")
        words(made, (22, 14 + 20.0 * index), fitted(text, width - 30), "label")
    steps = _steps([(x(point.x), y(point.y)) for point in front])
    if steps:
        path(made, steps, "front")
    placed = [(point, x(point.x), y(point.y)) for point in points]
    for point, left, up in placed:
        look = f"mark c{point.shape}" + (" hollow" if point.hollow else "")
        mark(made, (left, up), point.shape, look, point.hint)
    _names(made, placed, (_LEFT, top - 8, width, height), _boxes_along(steps))
    return made


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a staircase: until the next point, the one before is the best there is."""
    corners = [(after[0], before[1]) for before, after in itertools.pairwise(points)]
    steps = [spot for both in itertools.zip_longest(points, corners) for spot in both if spot]
    return steps if len(points) > 1 else []


def _boxes_along(steps: Sequence[tuple[float, float]]) -> list[Box]:
    """Return the boxes that the straight pieces of a staircase fill."""
    pieces = itertools.pairwise(steps)
    return [(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1) for (a, b), (c, d) in pieces]


def _names(
    parent: Element, placed: Sequence[tuple[Point, float, float]], room: Box, lines: Sequence[Box]
) -> None:
    """Write names where they cover no mark, no line and no name; one without such a place stays away."""
    taken: list[Box] = [*lines, *((x - 6, y - 6, x + 6, y + 6) for _, x, y in placed)]
    for point, x, y in placed:
        if not point.label:
            continue
        text = fitted(point.label, (room[2] - room[0]) * 0.45)
        for at, anchor, around in _places(x, y, breadth(text)):
            if _inside(around, room) and not any(_overlap(around, other) for other in taken):
                words(parent, at, text, "label", anchor)
                taken.append(around)
                break


def _places(x: float, y: float, breadth_px: float) -> Iterator[tuple[tuple[float, float], str, Box]]:
    """Yield where a name may stand: the start of its base line, its anchor, and the box that it fills."""
    for reach in _REACH:
        for dy in (0, -reach, reach):
            right, left = x + 10, x - 10
            base = y + 4 + dy
            yield (right, base), "start", (right, base - 10, right + breadth_px, base + 3)
            yield (left, base), "end", (left - breadth_px, base - 10, left, base + 3)
        for base in (y - reach, y + reach + 9):
            half = breadth_px / 2
            yield (x, base), "middle", (x - half, base - 10, x + half, base + 3)


def _inside(one: Box, room: Box) -> bool:
    return one[0] >= room[0] and one[1] >= room[1] and one[2] <= room[2] and one[3] <= room[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
