"""Widths that were requested, that were achieved, and that kernels like."""

from functools import partial
from typing import ClassVar, Final

from bench.report.content import Cell, Column, Note, Part, Plot, Section, Table, filled, percent, whole
from bench.report.facts import Facts, Pruned, Result, Width
from bench.report.plots.bars import Bar, bars
from bench.report.sections import SECTIONS

_MULTIPLES: Final = (32, 16, 8, 4)
"""What kernels work in: AVX-512, AVX2 and tensor cores, and the least that the blocked layout needs."""

_SHOWN: Final = 20
_COLUMNS: Final = (
    Column(name="group"), Column(name="dense", show=whole), Column(name="requested", show=whole),
    Column(name="achieved", show=whole), Column(name="aligned"), Column(name="why"),
)  # fmt: skip
_COSTS: Final = (
    Column(name="model"), Column(name="architecture"), Column(name="method"), Column(name="MACs", show=whole),
    Column(name="MACs left", show=percent), Column(name="parameters", show=whole),
    Column(name="parameters left", show=percent),
)  # fmt: skip


class Widths:
    """Artifacts: every group of channels."""

    order: ClassVar[int] = 40

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return what each artifact costs, and the widths of those that were pruned."""
        if not facts.pruned:
            return None
        rows = tuple(_cost(one) for one in facts.pruned)
        parts: list[Part] = [Table(title="What is left", columns=_COSTS, rows=rows)]
        parts += [_plot(one) for one in facts.pruned if one.widths]
        parts += [Note(f"{one.model}: {note}") for one in facts.pruned for note in one.notes]
        lead = (
            "Requested is what the rate alone would keep, achieved what is there after rounding and "
            "protection. Aligned names the largest of 32, 16, 8 and 4 that divides the width; kernels work "
            "in such blocks. MACs are work, not speed."
        )
        return Section(name="widths", title="Widths", lead=lead, parts=tuple(parts))


def _cost(one: Pruned) -> tuple[Cell, ...]:
    macs, params = (
        after / max(before, 1)
        for before, after in ((one.macs_before, one.macs_after), (one.params_before, one.params_after))
    )
    return (one.model, one.arch, one.method, one.macs_after, macs, one.params_after, params)


def _plot(one: Pruned) -> Plot:
    cut = [width for width in one.widths if width.achieved != width.before or width.requested != width.before]
    shown = sorted(cut or one.widths, key=lambda width: width.before - width.achieved, reverse=True)[:_SHOWN]
    odd = sum(width.achieved % _MULTIPLES[-1] != 0 for width in one.widths)
    title = f"{one.model}: widths before and after"
    words = f"{len(cut)} of {len(one.widths)} groups were cut; {odd} are no multiple of {_MULTIPLES[-1]}."
    rows = tuple(_row(width) for width in one.widths)
    axis = _axis(len(shown), len(one.widths))
    return Plot(
        title=title, words=words,
        draw=partial(bars, [_bar(width) for width in shown], ("dense", "achieved"), axis),
        table=filled(Table(title=title, columns=_COLUMNS, rows=rows, folded=len(rows) > _SHOWN)),
    )  # fmt: skip


def _axis(shown: int, every: int) -> str:
    return "channels" if shown == every else f"channels; {shown} of {every} groups, those that lost most"


def _bar(width: Width) -> Bar:
    asked = "" if width.requested == width.achieved else f" (requested {width.requested})"
    figure = f"{width.before} \N{RIGHTWARDS ARROW} {width.achieved}{asked}"
    return Bar(label=width.group, figure=figure, values=(width.before, width.achieved))


def _row(width: Width) -> tuple[Cell, ...]:
    return (width.group, width.before, width.requested, width.achieved, aligned(width.achieved), width.reason)


def aligned(width: int) -> str:
    """Return the largest multiple that kernels like and that a width is of."""
    found = next((multiple for multiple in _MULTIPLES if width % multiple == 0), None)
    return "no multiple of 4" if found is None else f"multiple of {found}"


WIDTHS = SECTIONS.register("widths")(Widths())
