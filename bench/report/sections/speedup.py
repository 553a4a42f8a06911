"""How much faster, and how sure that is."""

from functools import partial
from typing import ClassVar, Final

from bench.comparison import BenchReport, Comparison
from bench.report.content import Cell, Column, Part, Plot, Section, Table, decimals, filled
from bench.report.facts import Facts, Gate, Result
from bench.report.plots.intervals import Interval, intervals
from bench.report.sections import SECTIONS
from bench.report.settings import Setting, settings_of
from bench.results import BenchResult
from bench.statistics import percentiles, throughput_per_s

_LOOKS: Final = {
    "faster": (2, "good"),
    "slower": (4, "bad"),
    "no difference": (0, "open"),
    "too noisy": (5, "open"),
}
_TWO: Final = decimals(2)
_COLUMNS: Final = (
    Column(name="model"), Column(name="precision"), Column(name="p50", unit="ms"),
    Column(name="p90", unit="ms"), Column(name="p99", unit="ms"), Column(name="throughput", unit="images/s"),
    Column(name="speed-up", show=_TWO), Column(name="low", show=_TWO), Column(name="high", show=_TWO),
    Column(name="verdict"),
)  # fmt: skip


class SpeedUp:
    """Benchmarks: model against baseline; gates: change against what is allowed."""

    order: ClassVar[int] = 10

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return a plot per benchmark and gate, with all times below it."""
        parts: list[Part] = [part for report in facts.benches for part in _bench(report)]
        parts += [_gate(gate) for gate in facts.gates if gate.latencies]
        if not parts:
            return None
        lead = (
            "The mark is the ratio of medians, the line its 95 % interval over rounds. "
            "Where the interval holds 1, no difference was found."
        )
        return Section(name="speed-up", title="Speed-up", lead=lead, parts=tuple(parts))


def _bench(report: BenchReport) -> list[Part]:
    return [_setting(one) for one in settings_of(report)]


def _setting(setting: Setting) -> Part:
    rows = tuple(_row(one, setting.comparison(one.model)) for one in setting.results)
    title = f"Times per call, {setting.title}"
    table = filled(Table(title=title, columns=_COLUMNS, rows=rows))
    if not setting.comparisons:
        return table
    axis = "speed-up, times; above 1 is faster"
    draw = partial(intervals, [_interval(one) for one in setting.comparisons], {1.0: "reference"}, axis)
    words = "; ".join(f"{one.model}: {one.describe()}" for one in setting.comparisons)
    title = f"Against {setting.comparisons[0].baseline}, {setting.title}"
    return Plot(title=title, words=words, draw=draw, table=table)


def _interval(one: Comparison) -> Interval:
    shape, look = _LOOKS[one.verdict]
    found = one.speedup
    figure = f"{found.value:.2f}\N{MULTIPLICATION SIGN} {one.verdict}" if look != "open" else one.verdict
    return Interval(
        label=one.model, figure=figure, value=found.value, low=found.low, high=found.high, shape=shape,
        look=look,
    )  # fmt: skip


def _row(one: BenchResult, compared: Comparison | None) -> tuple[Cell, ...]:
    times, found = percentiles(one.samples_ms), compared.speedup if compared else None
    figures = (found.value, found.low, found.high) if found else (None, None, None)
    return (
        one.model, one.settings.precision, times.p50_ms, times.p90_ms, times.p99_ms,
        throughput_per_s(one.samples_ms, one.settings.batch), *figures,
        compared.verdict if compared else "baseline",
    )  # fmt: skip


def _gate(gate: Gate) -> Plot:
    outcome = {check.name: check.outcome for check in gate.checks}
    rows: list[Interval] = []
    cells: list[tuple[Cell, ...]] = []
    for one in gate.latencies:
        ended = outcome.get(f"latency, {one.name}", gate.verdict)
        look = {"pass": "good", "fail": "bad"}.get(ended, "open")
        figure = f"{one.change:+.1%} {ended}, allowed {one.limit:+.1%}"
        low, value, high = (100 * share for share in (one.low, one.change, one.high))
        shape = {"good": 2, "bad": 4}.get(look, 0)
        rows.append(
            Interval(label=one.name, figure=figure, value=value, low=low, high=high, shape=shape, look=look)
        )
        shares = (one.change, one.low, one.high, one.limit, one.detectable)
        cells.append((one.name, ended, one.baseline_ms, one.candidate_ms, *(100 * share for share in shares)))
    lines = {0.0: "reference"} | {100 * one.limit: "limit" for one in gate.latencies}
    draw = partial(intervals, rows, lines, "change of latency, %; the thick line is what is allowed")
    title = f"{gate.candidate} against {gate.baseline}"
    words = "; ".join(f"{row.label}: {row.figure}" for row in rows)
    return Plot(title=title, words=words, draw=draw, table=_gate_table(title, tuple(cells)))


def _gate_table(title: str, cells: tuple[tuple[Cell, ...], ...]) -> Table:
    shares = ("change", "low", "high", "allowed", "detectable")
    columns = (
        Column(name="latency"), Column(name="result"), Column(name="baseline", unit="ms"),
        Column(name="candidate", unit="ms"), *(Column(name=name, unit="%", show=_TWO) for name in shares),
    )  # fmt: skip
    return Table(title=title, columns=columns, rows=cells)


SPEED_UP = SECTIONS.register("speed-up")(SpeedUp())
