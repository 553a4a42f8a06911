"""Estimates with their intervals, one row each: label and figure above, mark and whiskers below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from bench.report.plots.canvas import axis_height, headline, line, mark, svg, x_axis
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


def intervals(rows: Sequence[Interval], lines: Mapping[float, str], axis: str, width: int) -> Element:
    """Return a picture of estimates on one axis.

    Args:
        rows: top to bottom.
        lines: value -> class of the line that marks it: ``reference`` where nothing differs, or ``limit``.
        axis: what the axis shows.
        width: px.
    """
    ends = [end for row in rows for end in (row.low, row.high)]
    bottom = ROW * len(rows) + 6.0
    scale = linear([*lines, *ends], _EDGE, width - _EDGE, count=8 if width > 500 else 5)
    made = svg(width, bottom + axis_height(scale, axis))
    x_axis(made, scale, 0, bottom, axis)
    for value, look in lines.items():
        line(made, (scale(value), 2), (scale(value), bottom), look)
    for index, row in enumerate(rows):
        _row(made, row, index * ROW, scale, width)
    return made


def _row(parent: Element, row: Interval, top: float, scale: Scale, width: int) -> None:
    headline(parent, top, width, row.label, (row.figure, f"{row.look}-text"))
    y = top + 32
    line(parent, (scale(row.low), y), (scale(row.high), y), f"whisker {row.look}-line")
    for end in (row.low, row.high):
        line(parent, (scale(end), y - 4), (scale(end), y + 4), f"whisker {row.look}-line")
    mark(parent, (scale(row.value), y), row.shape, f"mark {row.look}", f"{row.label}: {row.figure}")
