"""Lengths from zero, one or two per row: what was lies above what is, so that colour only helps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from bench.report.plots.canvas import axis_height, box, breadth, fitted, headline, svg, words, x_axis
from bench.report.plots.scales import Linear, linear

_EDGE: Final = 14
_BAR: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row: a label, its figures in words, and one length per legend."""

    label: str
    figure: str
    values: tuple[float, ...]


def bars(rows: Sequence[Bar], legend: Sequence[str], axis: str, width: int) -> Element:
    """Return rows of bars.

    Args:
        rows: top to bottom.
        legend: what the first bars are, and what the second ones; "" for no legend.
        axis: what the lengths are, with their unit.
        width: px.
    """
    head = 26.0 if any(legend) else 4.0
    row_height = 26 + (_BAR + 2) * len(legend)
    bottom = head + row_height * len(rows)
    values = [0.0, *(value for row in rows for value in row.values)]
    scale = linear(values, _EDGE, width - _EDGE, count=8 if width > 500 else 5)
    made = svg(width, bottom + axis_height(scale, axis))
    x_axis(made, scale, head, bottom, axis)
    _legend(made, [text for text in legend if text], width)
    for index, row in enumerate(rows):
        _row(made, row, head + index * row_height, scale, width)
    return made


def _legend(parent: Element, texts: Sequence[str], width: int) -> None:
    x, room = 2.0, width / max(1, len(texts)) - 30
    for index, text in enumerate(texts):
        short = fitted(text, room)
        box(parent, (x, 6), (14, _BAR + 1), _look(index, len(texts)))
        words(parent, (x + 20, 15), short, "label")
        x += 40 + breadth(short)


def _row(parent: Element, row: Bar, top: float, scale: Linear, width: int) -> None:
    headline(parent, top, width, row.label, (row.figure, "plain"))
    for index, value in enumerate(row.values):
        start, end = sorted((scale(0.0), scale(value)))
        box(
            parent, (start, top + 23 + index * (_BAR + 2)), (end - start, _BAR), _look(index, len(row.values))
        )


def _look(index: int, count: int) -> str:
    """Return the class of a bar: the last one is what is, and stands out."""
    return f"bar{index + 2 - count}"
