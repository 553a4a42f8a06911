"""Work against time: of whole models, and of layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

from bench.report.content import Cell, Column, Plot, Section, Table, milliseconds, percent, whole
from bench.report.facts import Facts, Node, Profile, Pruned, Result
from bench.report.matching import about
from bench.report.plots.scales import linear, logarithmic
from bench.report.plots.scatter import Axes, Point, scatter
from bench.report.sections import SECTIONS
from bench.report.settings import Setting, median_ms, settings_of

_NAMED: Final = 6
"""Layers that have their name in the picture."""

_MS: Final = "median time per call, ms"
_MODELS: Final = (
    Column(name="model"), Column(name="MACs per image", show=whole), Column(name="p50", unit="ms"),
    Column(name="MACs left", show=percent), Column(name="time left", show=percent),
)  # fmt: skip
_LAYERS: Final = (
    Column(name="model"), Column(name="layer"), Column(name="operator"), Column(name="MACs", show=whole),
    Column(name="time", unit="ms", show=milliseconds), Column(name="rate", unit="GMAC/s"),
)  # fmt: skip


class Macs:
    """What work costs; where models or layers lie apart from a line, something else costs."""

    order: ClassVar[int] = 50

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return plots of models that have both figures, and of profiled layers."""
        plots = [
            plot
            for report in facts.benches
            for one in settings_of(report)
            for plot in _models(one, facts.pruned)
        ]
        plots += [plot for profile in facts.profiles for plot in _layers(profile)]
        if not plots:
            return None
        lead = "MACs are work, not speed: fewer need not take less time. Here is what they took."
        return Section(name="macs", title="MACs against milliseconds", lead=lead, parts=tuple(plots))


def _models(setting: Setting, pruned: Sequence[Pruned]) -> list[Plot]:
    found = [(one, about(one.model, pruned)) for one in setting.results]
    known = [(one, cost[0].macs_after, median_ms(one)) for one, cost in found if cost]
    if len(known) < 2:
        return []
    _, most_macs, most_ms = known[0]
    rows = tuple((one.model, macs, ms, macs / max(most_macs, 1), ms / most_ms) for one, macs, ms in known)
    points = [
        Point(x=macs, y=ms, label=one.model, hint=f"{one.model}: {whole(macs)} MACs, {milliseconds(ms)} ms")
        for one, macs, ms in known
    ]
    title = f"MACs and time of models, {setting.title}"
    axes = Axes(x_title="MACs of one image", y_title=_MS, scale=linear)
    words = "; ".join(f"{row[0]}: {row[3]:.0%} of the MACs, {row[4]:.0%} of the time" for row in rows)
    return [
        Plot(
            title=title, words=f"Against {known[0][0].model}: {words}.",
            draw=partial(scatter, points, axes, (), ()), table=Table(title=title, columns=_MODELS, rows=rows),
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Layer:
    """A node whose work is known, and the place of its model in the profile."""

    place: int
    model: str
    node: Node
    macs: int

    @property
    def name(self) -> str:
        return self.node.module or self.node.name


def _layers(profile: Profile) -> list[Plot]:
    found = [
        _Layer(place, model.name, node, node.macs)
        for place, model in enumerate(profile.models)
        for node in model.nodes
        if node.macs and node.macs > 0 and node.ms > 0
    ]
    if len(found) < 2:
        return []
    found.sort(key=lambda layer: layer.node.ms, reverse=True)
    names = [model.name for model in profile.models]
    title = f"MACs and time of layers: {', '.join(names)}"
    axes = Axes(x_title="MACs per call", y_title="time per call while profiled, ms", scale=logarithmic)
    points = [_point(layer, named=rank < _NAMED) for rank, layer in enumerate(found)]
    words = f"{len(found)} layers; {found[0].name} takes longest, {milliseconds(found[0].node.ms)} ms."
    return [
        Plot(
            title=title, words=words,
            draw=partial(scatter, points, axes, names if len(names) > 1 else (), ()),
            table=Table(title=title, columns=_LAYERS, rows=tuple(map(_row, found)), folded=True),
        )
    ]  # fmt: skip


def _point(layer: _Layer, *, named: bool) -> Point:
    hint = f"{layer.model}, {layer.name}: {whole(layer.macs)} MACs, {milliseconds(layer.node.ms)} ms"
    label = layer.name if named else ""
    return Point(x=layer.macs, y=layer.node.ms, label=label, hint=hint, shape=layer.place)


def _row(layer: _Layer) -> tuple[Cell, ...]:
    rate = layer.macs / layer.node.ms / 1e6
    return (layer.model, layer.name, layer.node.kind, layer.macs, layer.node.ms, rate)


MACS = SECTIONS.register("macs")(Macs())
