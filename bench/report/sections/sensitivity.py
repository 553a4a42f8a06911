"""Which groups can give channels."""

from functools import partial
from typing import ClassVar, Final

from bench.report.content import Cell, Column, Note, Part, Plot, Section, Table, decimals, whole
from bench.report.facts import Facts, GroupStudy, Result, Sensitivity
from bench.report.plots.bars import Bar, bars
from bench.report.sections import SECTIONS

_SHOWN: Final = 20
_TWO: Final = decimals(2)


class Sensitive:
    """What inspection found: each group pruned alone, nothing trained."""

    order: ClassVar[int] = 70

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return a plot per study."""
        parts = [part for study in facts.sensitivities for part in _parts(study)]
        if not parts:
            return None
        lead = (
            "Each group was pruned alone and scored without fine-tuning: the result says which layers can "
            "give channels, not what accuracy they will have in the end."
        )
        return Section(name="sensitivity", title="Sensitivity of groups", lead=lead, parts=tuple(parts))


def _parts(study: Sensitivity) -> list[Part]:
    rates = sorted({rate for group in study.groups for rate, _ in group.points})
    columns = (
        Column(name="group"), Column(name="units", show=whole),
        *(Column(name=f"without {rate:.0%}", unit="%", show=_TWO) for rate in rates),
        Column(name="lost per % of MACs", unit="points", show=_TWO),
    )  # fmt: skip
    rows = tuple(_row(group, rates) for group in study.groups)
    title = f"{study.model}, {study.method}: quality on {study.data}; unpruned {study.quality:.2f} %"
    table = Table(title=title, columns=columns, rows=rows, folded=len(rows) > _SHOWN)
    notes: list[Part] = [Note("The data is synthetic: quality means nothing.")] if study.synthetic else []
    known = [group for group in study.groups if group.loss_per_macs is not None]
    return [_plot(study, known, table) if known else table, *notes]


def _plot(study: Sensitivity, known: list[GroupStudy], table: Table) -> Plot:
    ordered = sorted(known, key=_loss, reverse=True)[:_SHOWN]
    rows = [
        Bar(label=group.group, figure=f"{_loss(group):.2f}", values=(max(_loss(group), 0.0),))
        for group in ordered
    ]
    words = f"Most sensitive: {', '.join(row.label for row in rows[:3])}."
    axis = "points lost per percent of MACs saved"
    title = f"Most sensitive groups of {study.model}"
    return Plot(title=title, words=words, draw=partial(bars, rows, ("",), axis), table=table)


def _bar(group: GroupStudy) -> Bar:
    loss = _loss(group)
    return Bar(label=group.group, figure=f"{loss:.2f}", values=(max(loss, 0.0),))


def _loss(group: GroupStudy) -> float:
    return group.loss_per_macs or 0.0


def _row(group: GroupStudy, rates: list[float]) -> tuple[Cell, ...]:
    quality = dict(group.points)
    return (group.group, group.size, *(quality.get(rate) for rate in rates), group.loss_per_macs)


SENSITIVE = SECTIONS.register("sensitivity")(Sensitive())
