"""Where the time goes, layer by layer, and what was saved."""

from collections.abc import Iterable, Sequence
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
from bench.report.facts import Facts, Lint, Node, Pair, Profile, Profiled, Result
from bench.report.plots.bars import Bar, bars
from bench.report.sections import SECTIONS

_SHOWN: Final = 20
"""Layers in a picture; its table has all."""

_MS: Final = "time per call, ms"
_PAIRS: Final = (
    Column(name="layer"), Column(name="operator"), Column(name="before", unit="ms", show=milliseconds),
    Column(name="after", unit="ms", show=milliseconds), Column(name="saved", unit="ms", show=milliseconds),
    Column(name="lints"),
)  # fmt: skip
_NODES: Final = (
    Column(name="layer"), Column(name="operator"), Column(name="time", unit="ms", show=milliseconds),
    Column(name="share", unit="%", show=decimals(1)), Column(name="precision"),
    Column(name="MACs", show=whole), Column(name="channels in", show=whole),
    Column(name="channels out", show=whole), Column(name="lints"),
)  # fmt: skip
_LINTS: Final = (
    Column(name="model"), Column(name="layer"), Column(name="lint"),
    Column(name="saves", unit="ms", show=milliseconds), Column(name="what it is"),
    Column(name="what to do next"),
)  # fmt: skip


class Layers:
    """Time before and after, by milliseconds saved; or of one model, by time. Lints beside it."""

    order: ClassVar[int] = 30

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return a plot per profile, and its lints."""
        parts = [part for profile in facts.profiles for part in _profile(profile)]
        if not parts:
            return None
        lead = (
            "Measured with the runtime's own profiler, which slows models down a little: the sums are no "
            f"latency. A picture shows the {_SHOWN} layers that take longest, its table all of them."
        )
        return Section(name="layers", title="Time per layer", lead=lead, parts=tuple(parts))


def _profile(profile: Profile) -> list[Part]:
    parts: list[Part] = []
    if profile.pairs and len(profile.models) >= 2:
        parts.append(_pairs(profile))
    else:
        parts += [_nodes(model) for model in profile.models if model.nodes]
    parts += [Note(_summary(model)) for model in profile.models]
    return [*parts, *_lints(profile.models)]


def _summary(model: Profiled) -> str:
    reorders = "" if model.reorders is None else f", {model.reorders} changes of layout"
    threads = "threads chosen by the runtime" if model.threads is None else f"{model.threads} threads"
    return (
        f"{model.name}: {milliseconds(model.total_ms)} ms per call while profiled, {model.backend}, "
        f"{model.precision}, batch {model.batch}, {threads}, {len(model.nodes)} nodes{reorders}"
    )


def _pairs(profile: Profile) -> Plot:
    before, after = profile.models[:2]
    ordered = sorted(profile.pairs, key=lambda pair: pair.saved_ms, reverse=True)
    longest = sorted(ordered, key=lambda pair: max(pair.before_ms, pair.after_ms), reverse=True)[:_SHOWN]
    shown = [_pair_bar(pair) for pair in ordered if pair in longest][:_SHOWN]
    title = f"{before.name} against {after.name}, sorted by milliseconds saved"
    rows = tuple(_pair_row(pair, [*before.lints, *after.lints]) for pair in ordered)
    words = "; ".join(f"{bar.label}: {bar.figure}" for bar in shown[:5])
    return Plot(
        title=title, words=f"Most saved: {words}.",
        draw=partial(bars, shown, (f"before: {before.name}", f"after: {after.name}"), _MS),
        table=filled(Table(title=title, columns=_PAIRS, rows=rows, folded=len(rows) > _SHOWN)),
    )  # fmt: skip


def _pair_bar(pair: Pair) -> Bar:
    figure = f"{milliseconds(pair.before_ms)} \N{RIGHTWARDS ARROW} {milliseconds(pair.after_ms)} ms"
    return Bar(label=pair.module or pair.kind, figure=figure, values=(pair.before_ms, pair.after_ms))


def _pair_row(pair: Pair, lints: Sequence[Lint]) -> tuple[Cell, ...]:
    return (pair.module, pair.kind, pair.before_ms, pair.after_ms, pair.saved_ms, _names(pair.module, lints))


def _nodes(model: Profiled) -> Plot:
    ordered = sorted(model.nodes, key=lambda node: node.ms, reverse=True)
    shown = [_node_bar(node) for node in ordered[:_SHOWN]]
    title = f"{model.name}, sorted by time"
    rows = tuple(_node_row(node, model.lints) for node in ordered)
    words = "; ".join(f"{bar.label}: {bar.figure}" for bar in shown[:5])
    return Plot(
        title=title, words=f"Slowest: {words}.", draw=partial(bars, shown, ("",), _MS),
        table=filled(Table(title=title, columns=_NODES, rows=rows, folded=len(rows) > _SHOWN)),
    )  # fmt: skip


def _node_bar(node: Node) -> Bar:
    label = f"{node.module or node.name} \N{MIDDLE DOT} {node.kind}"
    return Bar(label=label, figure=f"{milliseconds(node.ms)} ms, {node.share:.1%}", values=(node.ms,))


def _node_row(node: Node, lints: Sequence[Lint]) -> tuple[Cell, ...]:
    return (
        node.module or node.name, node.kind, node.ms, 100 * node.share, node.precision, node.macs,
        node.in_channels, node.out_channels, _names(node.module, lints),
    )  # fmt: skip


def _names(module: str, lints: Sequence[Lint]) -> str:
    """Return the kinds of the lints of a layer, each once."""
    return ", ".join(dict.fromkeys(lint.kind for lint in lints if module and lint.module == module))


def _lints(models: Sequence[Profiled]) -> list[Part]:
    """Return what was found, layers with one cure in one row; each layer on demand."""
    every = tuple(_lint(model.name, [lint]) for model in models for lint in model.lints)
    merged = tuple(_lint(model.name, lints) for model in models for lints in _with_one_cure(model.lints))
    tables: list[Part] = [Table(title="Lints", columns=_LINTS, rows=merged)] if merged else []
    if len(merged) < len(every):
        tables.append(Table(title="Lints of every layer", columns=_LINTS, rows=every, folded=True))
    return tables


def _with_one_cure(lints: Sequence[Lint]) -> Iterable[list[Lint]]:
    """Put lints of a kind that say the same to do next together, where the first of them stands."""
    found: dict[tuple[str, str], list[Lint]] = {}
    for lint in lints:
        found.setdefault((lint.kind, lint.next), []).append(lint)
    return found.values()


def _lint(name: str, lints: Sequence[Lint]) -> tuple[Cell, ...]:
    first, more = lints[0], len(lints) - 1
    layers = f"{first.module} and {more} more" if more else first.module
    saved = [lint.ms for lint in lints if lint.ms is not None]
    return (name, layers, first.kind, sum(saved) if saved else None, first.what, first.next)


LAYERS = SECTIONS.register("layers")(Layers())
