"""Estimates with their intervals, one row each: label and figure above, mark and whiskers below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from bench.report.plots.canvas import box, breadth, fitted, line, mark, svg, words, x_axis
from bench.report.plots.scales import Scale, linear

ROW: Final = 44
_EDGE: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One row.

    Attributes:
        label: what was estimated.
        figure: in words.
        value: the estimate.
        low: lower end of its interval.
        high: upper end.
        shape: number of its mark.
        look: class of its mark: ``good``, ``bad`` or ``open``.
    """

    label: str
    figure: str
    value: float
    low: float
    high: float
    shape: int
    look: str


def intervals(rows: Sequence[Interval], reference: float, axis: str, width: int) -> Element:
    """Return a picture of estimates on one axis, with a line where nothing differs.

    Args:
        rows: top to bottom.
        reference: where that line is.
        axis: what the axis shows.
        width: px.
    """
    ends = [end for row in rows for end in (row.low, row.high)]
    bottom = ROW * len(rows) + 6.0
    made = svg(width, bottom + 40)
    scale = linear([reference, *ends], _EDGE, width - _EDGE, count=8 if width > 500 else 5)
    x_axis(made, scale, 0, bottom, axis)
    line(made, (scale(reference), 0), (scale(reference), bottom), "reference")
    for index, row in enumerate(rows):
        _row(made, row, index * ROW, scale, width)
    return made


def _row(parent: Element, row: Interval, top: float, scale: Scale, width: int) -> None:
    label = fitted(row.label, width - 24 - breadth(row.figure))
    box(parent, (0, top + 4), (width, 17), "backing")
    words(parent, (2, top + 17), label, "label")
    words(parent, (width - 2, top + 17), row.figure, f"figure {row.look}-text", "end")
    y = top + 32
    line(parent, (scale(row.low), y), (scale(row.high), y), f"whisker {row.look}-line")
    for end in (row.low, row.high):
        line(parent, (scale(end), y - 4), (scale(end), y + 4), f"whisker {row.look}-line")
    mark(parent, (scale(row.value), y), row.shape, f"mark {row.look}", f"{row.label}: {row.figure}")
