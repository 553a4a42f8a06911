"""One value per round, in order: drift is a slope there, and two modes are two levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from bench.report.plots.canvas import axis_height, axis_title, dot, headline, line, path, svg, words, y_axis
from bench.report.plots.scales import Linear, linear, tick_text, ticks

PANEL: Final = 132
_LEFT: Final = 46
_RIGHT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One panel.

    Attributes:
        label: what was measured.
        figure: its summary in words.
        values: in the order of rounds.
        middle: value that the dashed line marks.
        limit: value that the thick line marks; None for none.
    """

    label: str
    figure: str
    values: tuple[float, ...]
    middle: float
    limit: float | None = None


def series(panels: Sequence[Series], axis: str, width: int) -> Element:
    """Return panels below each other, on one axis of rounds and each with a scale of its own.

    Args:
        panels: top to bottom.
        axis: what all panels show, with its unit.
        width: px.
    """
    bottom = PANEL * len(panels)
    most = max(len(panel.values) for panel in panels)
    rounds = Linear(1, max(most, 2), _LEFT + 8, width - _RIGHT - 8, _round_ticks(most, width))
    title = f"round; upwards: {axis}"
    made = svg(width, bottom + axis_height(rounds, title))
    for index, panel in enumerate(panels):
        _panel(made, panel, index * PANEL, rounds, width)
    for tick in rounds.ticks:
        words(made, (rounds(tick), bottom + 12), tick_text(tick), "tick", "middle")
    axis_title(made, rounds, bottom, title)
    return made


def _round_ticks(most: int, width: int) -> tuple[float, ...]:
    whole = tuple(tick for tick in ticks(1, max(most, 2), 10 if width > 500 else 6) if tick.is_integer())
    return tuple(dict.fromkeys((1.0, *whole)))


def _panel(parent: Element, panel: Series, top: float, rounds: Linear, width: int) -> None:
    headline(parent, top, width, panel.label, (panel.figure, "plain"))
    marked = [panel.middle, *([panel.limit] if panel.limit is not None else [])]
    scale = linear([*panel.values, *marked], top + PANEL - 10, top + 28, count=4, pad=0.12)
    y_axis(parent, scale, _LEFT, width - _RIGHT)
    line(parent, (_LEFT, scale(panel.middle)), (width - _RIGHT, scale(panel.middle)), "middle")
    if panel.limit is not None:
        line(parent, (_LEFT, scale(panel.limit)), (width - _RIGHT, scale(panel.limit)), "limit")
    points = [(rounds(number), scale(value)) for number, value in enumerate(panel.values, start=1)]
    path(parent, points, "thread")
    for number, point in enumerate(points, start=1):
        dot(parent, point, 3, "dot", f"round {number}: {panel.values[number - 1]:.3f}")
