"""How good against how fast, and which models nobody beats in both."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final

from bench.report.content import (
    Cell,
    Column,
    Note,
    Part,
    Plot,
    Section,
    Table,
    decimals,
    filled,
    milliseconds,
    whole,
)
from bench.report.facts import Facts, Result, Scored
from bench.report.matching import about
from bench.report.plots.scatter import Axes, Point, scatter
from bench.report.sections import SECTIONS
from bench.report.settings import Setting, median_ms, settings_of

_SCORES: Final = (
    Column(name="model"), Column(name="metric"), Column(name="quality", unit="%", show=decimals(2)),
    Column(name="images", show=whole), Column(name="data"), Column(name="split"), Column(name="all figures"),
    Column(name="note"),
)  # fmt: skip

Measure = tuple[str, str, str]
"""Metric, data and split: scores of different ones are not compared."""


class Accuracy:
    """Every score, and those of measured models against their latency."""

    order: ClassVar[int] = 60

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return a plot per benchmark, batch and data set, and all scores."""
        if not facts.scores:
            return None
        real = [one for one in facts.scores if not one.synthetic]
        parts: list[Part] = [
            plot for report in facts.benches for one in settings_of(report) for plot in _plots(one, real)
        ]
        rows = tuple(dict.fromkeys(_row(one) for one in facts.scores))
        parts.append(filled(Table(title="Scores", columns=_SCORES, rows=rows)))
        parts += [Note(text) for text in _unscored(facts)]
        lead = (
            "A model is on the Pareto front where none that was measured with it is both faster and better. "
            "Steps join those; the others are hollow."
        )
        return Section(name="accuracy", title="Accuracy against latency", lead=lead, parts=tuple(parts))


def _row(one: Scored) -> tuple[Cell, ...]:
    note = "synthetic data: means nothing" if one.synthetic else ""
    return (one.model, one.metric, one.quality, one.images, one.data, one.split, one.words, note)


def _unscored(facts: Facts) -> list[str]:
    """Return what to do about models that were measured and not scored."""
    names = dict.fromkeys(one.model for report in facts.benches for one in report.results)
    return [
        f"{name} was measured and has no score here: add the document of compress eval {name} --json"
        for name in names
        if not about(name, facts.scores)
    ]


def _plots(setting: Setting, scores: Sequence[Scored]) -> list[Plot]:
    found = []
    for measure in dict.fromkeys((one.metric, one.data, one.split) for one in scores):
        alike = [one for one in scores if (one.metric, one.data, one.split) == measure]
        points = _points(setting, alike)
        if len(points) > 1:
            found.append(_plot(points, measure, setting.title))
    return found


def _points(setting: Setting, scores: Sequence[Scored]) -> list[tuple[str, float, float]]:
    """Return (model, median ms, percent) of models that have both, each with its last score."""
    found = [(one, about(one.model, scores)) for one in setting.results]
    return [(one.model, median_ms(one), own[-1].quality) for one, own in found if own]


def front(points: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Return the points that no other beats in one figure without being worse in the other, by time."""
    return sorted(
        (one for one in points if not any(_beats(other, one) for other in points)), key=lambda one: one[1]
    )


def _beats(other: tuple[str, float, float], one: tuple[str, float, float]) -> bool:
    return other[1] <= one[1] and other[2] >= one[2] and other[1:] != one[1:]


def _plot(points: Sequence[tuple[str, float, float]], measure: Measure, where: str) -> Plot:
    metric, data, split = measure
    best = front(points)
    drawn = {one: _point(one, metric, hollow=one not in best) for one in points}
    title = f"{metric} on {data or 'unnamed data'}, {split}, against latency: {where}"
    rows = tuple((*one, "yes" if one in best else "no") for one in points)
    columns = (
        Column(name="model"), Column(name="p50", unit="ms"), Column(name=metric, unit="%", show=decimals(2)),
        Column(name="Pareto front"),
    )  # fmt: skip
    words = f"On the Pareto front: {', '.join(name for name, _, _ in best)}."
    axes = Axes(x_title="median time per call, ms; left is faster", y_title=f"{metric}, %; up is better")
    return Plot(
        title=title, words=words,
        draw=partial(scatter, list(drawn.values()), axes, (), [drawn[one] for one in best]),
        table=Table(title=title, columns=columns, rows=rows),
    )  # fmt: skip


def _point(one: tuple[str, float, float], metric: str, *, hollow: bool) -> Point:
    name, ms, quality = one
    hint = f"{name}: {milliseconds(ms)} ms, {metric} {quality:.2f} %"
    return Point(x=ms, y=quality, label=name, hint=hint, hollow=hollow)


ACCURACY = SECTIONS.register("accuracy")(Accuracy())
