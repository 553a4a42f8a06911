"""Servers: latency of queries that come at random, the highest rate within a limit, and the best batch."""

from typing import ClassVar, Final

from bench.comparison import BenchReport
from bench.report.content import Column, Note, Part, Section, Table, text_columns
from bench.report.facts import Facts, Result
from bench.report.sections import SECTIONS
from bench.statistics import percentiles, throughput_per_s

_WHO: Final = text_columns("model", "runtime", "batch")
_SERVED: Final = (
    *_WHO, Column(name="rate", unit="queries/s"), Column(name="p50", unit="ms"),
    Column(name="p99", unit="ms"), Column(name="queries", show="{:.0f}".format),
)  # fmt: skip
_SEARCHED: Final = (
    *_WHO, Column(name="limit of p99", unit="ms"), Column(name="highest rate", unit="queries/s"),
    Column(name="a call alone", unit="ms"),
)  # fmt: skip
_BEST: Final = (*_WHO, Column(name="throughput", unit="samples/s"))


class Serving:
    """What a server would see."""

    order: ClassVar[int] = 15

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return what modes `server` and `throughput` measured."""
        parts = tuple(part for report in facts.benches for part in _parts(report))
        if not parts:
            return None
        lead = "Queries come at random and wait for each other; latency is from arrival to answer."
        return Section(name="serving", title="Under load", lead=lead, parts=parts)


def _parts(report: BenchReport) -> list[Part]:
    parts: list[Part] = []
    if report.served:
        parts.append(_table("Latency at a given rate", _SERVED, _served(report)))
    if report.searches:
        parts.append(_table("Highest rate within a limit", _SEARCHED, _searched(report)))
        parts += [Note(f"{search.model}: {search.describe()}") for search in report.searches]
    if report.mode == "throughput" and report.results:
        parts.append(_table("Batch with the most samples a second", _BEST, _best(report)))
    return parts


Row = tuple[str | float | None, ...]


def _table(title: str, columns: tuple[Column, ...], rows: list[Row]) -> Table:
    return Table(title=title, columns=columns, rows=tuple(rows))


def _served(report: BenchReport) -> list[Row]:
    rows: list[Row] = []
    for one in report.served:
        times = percentiles([one.samples_ms])
        who = (one.model, one.settings.backend, str(one.settings.batch))
        rows.append((*who, one.settings.rate_per_s, times.p50_ms, times.p99_ms, len(one.samples_ms)))
    return rows


def _searched(report: BenchReport) -> list[Row]:
    return [
        (one.model, one.backend, str(one.batch), one.limit_ms, one.highest_per_s, one.call_ms)
        for one in report.searches
    ]


def _best(report: BenchReport) -> list[Row]:
    return [
        (
            one.model, one.settings.backend, str(one.settings.batch),
            throughput_per_s(one.samples_ms, one.settings.batch),
        )
        for one in report.best()
    ]  # fmt: skip


SERVING = SECTIONS.register("serving")(Serving())
