"""Profiles for human readers: where the time goes, what two models differ in, what to do."""

from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from bench.profile.lints import Lint
from bench.profile.pairs import Pair, by_stage, paired
from bench.profile.run import Profile
from bench.statistics import significant
from compressor.base.text import foreign

ROWS: Final = 20
"""Of nodes and of pairs; the JSON document has all."""

Columns = Sequence[tuple[str, bool]]


def tables(profiles: Sequence[Profile], rows: int = ROWS) -> list[Table]:
    """Return what one model spends its time on, or how two differ, and then what was found in each."""
    shown = [_nodes(profiles[0], rows)] if len(profiles) == 1 else _both(profiles, rows)
    return [*shown, *map(_stages, profiles), *(_lints(one) for one in profiles if one.lints)]


def _nodes(profile: Profile, rows: int) -> Table:
    title = f"{profile.candidate.name}: {_figures(profile)}"
    table = _table(title, [("module", False), ("operator", False), ("ms", True), ("share", True),
                           ("channels", True), ("MMACs", True), ("precision", True)])  # fmt: skip
    ordered = sorted(profile.nodes, key=lambda node: -node.ms)
    for node in ordered[:rows]:
        channels = "" if node.in_channels is None else f"{node.in_channels} > {node.out_channels}"
        macs = "" if node.macs is None else significant(node.macs / 1e6)
        _row(table, node.module or node.name, node.kind, significant(node.ms), f"{node.share:.1%}", channels,
             macs, node.precision)  # fmt: skip
    _rest(table, [node.ms for node in ordered[rows:]])
    return table


def _both(profiles: Sequence[Profile], rows: int) -> list[Table]:
    """Return the modules that save most, and of the others those that take most."""
    before, after = (foreign(one.candidate.name) for one in profiles)
    pairs = paired(*profiles)
    saving = [pair for pair in pairs[: rows // 2] if pair.saved_ms > 0]
    others = sorted((pair for pair in pairs if pair not in saving), key=lambda pair: -pair.after_ms)
    title = f"{before}: {_figures(profiles[0])}; {after}: {_figures(profiles[1])}"
    return [_pairs(saving, f"{title}. Saved most"), _pairs(others[: rows // 2], "Takes most of what is left")]


def _pairs(pairs: Sequence[Pair], title: str) -> Table:
    table = _table(title, [("module", False), ("operator", False), ("before ms", True), ("after ms", True),
                           ("saved ms", True), ("saved", True)])  # fmt: skip
    for pair in pairs:
        share = f"{pair.saved_ms / pair.before_ms:.0%}" if pair.before_ms else ""
        _row(table, pair.module, pair.kind, *map(significant, (pair.before_ms, pair.after_ms)),
             _signed(pair.saved_ms), share)  # fmt: skip
    return table


def _stages(profile: Profile) -> Table:
    table = _table(f"{profile.candidate.name}, by stage", [("stage", False), ("ms", True), ("share", True)])
    for stage, ms in by_stage(profile.nodes).items():
        _row(table, stage, significant(ms), f"{ms / profile.total_ms:.1%}")
    return table


def _lints(profile: Profile, rows: int = ROWS // 2) -> Table:
    title = f"{profile.candidate.name}, what to do"
    table = _table(
        title, [("found", False), ("module", False), ("saves ms", True), ("what", False), ("next", False)]
    )
    for lint in _one_of_each_first(profile.lints)[:rows]:
        saved = "" if lint.ms is None else significant(lint.ms)
        _row(table, lint.kind, lint.module, saved, lint.what, lint.next)
    if len(profile.lints) > rows:
        _row(
            table,
            f"{len(profile.lints) - rows} more",
            "",
            "",
            "all of them are in the JSON document",
            "--json",
        )
    return table


def _one_of_each_first(lints: Sequence[Lint]) -> list[Lint]:
    """Return the first of every kind, and then the others, both in their order."""
    firsts = list({lint.kind: lint for lint in reversed(lints)}.values())[::-1]
    firsts.sort(key=lints.index)
    return [*firsts, *(lint for lint in lints if lint not in firsts)]


def _figures(profile: Profile) -> str:
    macs = f", {significant(profile.macs / 1e9)} GMACs" if profile.macs else ""
    return (
        f"{significant(profile.total_ms)} ms in {len(profile.nodes)} nodes{macs}, {profile.reorders} reorders"
    )


def _table(title: str, columns: Columns) -> Table:
    table = Table(box=SIMPLE, title=Text(foreign(title, 400)), title_justify="left")
    for name, number in columns:
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(foreign(cell, 400)) for cell in cells))


def _rest(table: Table, ms: Sequence[float]) -> None:
    """Add a line for what is not shown; the third column holds milliseconds."""
    if ms:
        _row(table, f"{len(ms)} more", "", significant(sum(ms)))


def _signed(ms: float) -> str:
    return f"{'-' if ms < 0 else ''}{significant(abs(ms))}"
