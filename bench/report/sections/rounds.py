"""Every round by itself: what a mean hides."""

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean, median, stdev
from typing import ClassVar, Final

from bench.report.content import Cell, Column, Plot, Section, Table, decimals, whole
from bench.report.facts import Facts, Gate, Result
from bench.report.plots.series import Series, series
from bench.report.sections import SECTIONS
from bench.report.settings import Setting, settings_of
from bench.statistics import Blocks

_COLUMNS: Final = (
    Column(name="model"), Column(name="rounds", show=whole), Column(name="median ratio", show=decimals(3)),
    Column(name="smallest", show=decimals(3)), Column(name="largest", show=decimals(3)),
    Column(name="spread", unit="%", show=decimals(1)), Column(name="drift", unit="%", show=decimals(1)),
    Column(name="ratios, round by round"),
)  # fmt: skip


class Rounds:
    """Ratios of the medians of adjacent blocks."""

    order: ClassVar[int] = 20

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return a plot per benchmark and gate."""
        plots = [plot for report in facts.benches for one in settings_of(report) for plot in _setting(one)]
        plots += [_gate(gate) for gate in facts.gates if any(one.ratios for one in gate.latencies)]
        if not plots:
            return None
        lead = (
            "A slope is drift; points on two levels are two modes of the machine or of the code, and no mean "
            "describes them. Spread is the standard deviation of a round; drift compares the second half of "
            "the rounds with the first."
        )
        return Section(name="rounds", title="Round by round", lead=lead, parts=tuple(plots))


def _setting(setting: Setting) -> list[Plot]:
    blocks = {one.model: one.samples_ms for one in setting.results}
    ratios = {
        one.model: _ratios(blocks.get(one.baseline, ()), blocks.get(one.model, ()))
        for one in setting.comparisons
    }
    panels = [_panel(model, found, None) for model, found in ratios.items() if found]
    title = f"Speed-up of each round, {setting.title}"
    return [_plot(title, "baseline over model, times", panels)] if panels else []


def _ratios(baseline: Blocks, candidate: Blocks) -> tuple[float, ...]:
    both = zip(baseline, candidate, strict=False)
    return tuple(median(before) / median(after) for before, after in both if before and after)


def _gate(gate: Gate) -> Plot:
    panels = [_panel(one.name, one.ratios, 1 + one.limit) for one in gate.latencies if one.ratios]
    title = f"Each round of {gate.candidate} against {gate.baseline}"
    return _plot(title, "candidate over baseline, times; the thick line is what is allowed", panels)


def _panel(name: str, ratios: tuple[float, ...], limit: float | None) -> Series:
    figure = f"median {median(ratios):.3f}, spread {spread(ratios):.1f} %"
    return Series(label=name, figure=figure, values=ratios, middle=median(ratios), limit=limit)


def _plot(title: str, axis: str, panels: Sequence[Series]) -> Plot:
    rows = tuple(_row(panel) for panel in panels)
    table = Table(title=title, columns=_COLUMNS, rows=rows, folded=True)
    words = "; ".join(f"{panel.label}: {panel.figure}" for panel in panels)
    return Plot(title=title, words=words, draw=partial(series, panels, axis), table=table)


def _row(panel: Series) -> tuple[Cell, ...]:
    ratios = panel.values
    every = " ".join(f"{ratio:.3f}" for ratio in ratios)
    figures = (median(ratios), min(ratios), max(ratios), spread(ratios), drift(ratios))
    return (panel.label, len(ratios), *figures, every)


def spread(ratios: Sequence[float]) -> float:
    """Return the standard deviation of the logarithms, percent; 0 of one ratio."""
    return 100 * stdev(map(math.log, ratios)) if len(ratios) > 1 else 0.0


def drift(ratios: Sequence[float]) -> float:
    """Return by how much the second half of the rounds differs from the first in the mean, percent."""
    half = len(ratios) // 2
    if not half:
        return 0.0
    first, second = ([math.log(ratio) for ratio in part] for part in (ratios[:half], ratios[-half:]))
    return 100 * math.expm1(fmean(second) - fmean(first))


ROUNDS = SECTIONS.register("rounds")(Rounds())
