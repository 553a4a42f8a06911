"""A benchmark for human readers: one row per batch size and model."""

from rich.box import SIMPLE
from rich.table import Table

from bench.comparison import BenchReport, Comparison
from bench.statistics import percentiles, throughput_per_s
from compressor.types import BenchResult

_FIGURES = ("p50 ms", "p90 ms", "p99 ms", "samples/s")


def render(report: BenchReport) -> Table:
    """Return a table; a speed-up whose interval includes 1 reads "no difference". Notes stand below."""
    table = Table(box=SIMPLE, caption="\n".join(_notes(report)), caption_justify="left")
    table.add_column("batch", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=12)
    for column in _FIGURES:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("speed-up (95 %)", min_width=15)
    comparisons = {(c.model, c.backend, c.batch): c for c in report.comparisons}
    for result in report.results:
        key = (result.model, result.settings.backend, result.settings.batch)
        table.add_row(*_cells(result, comparisons.get(key)))
    return table


def describe(comparison: Comparison | None) -> str:
    """Return a speed-up in words and figures, ``baseline`` where there is none."""
    if comparison is None:
        return "baseline"
    measured = comparison.speedup
    interval = f"({measured.low:.2f}..{measured.high:.2f})"
    if comparison.verdict == "no difference":
        return f"no difference {interval}"
    return f"{measured.value:.2f}x, {comparison.verdict} {interval}"


def _cells(result: BenchResult, comparison: Comparison | None) -> tuple[str, ...]:
    times = percentiles(result.samples_ms)
    throughput = throughput_per_s(result.samples_ms, result.settings.batch)
    figures = (f"{ms:.3g}" if ms < 100 else f"{ms:.0f}" for ms in (times.p50_ms, times.p90_ms, times.p99_ms))
    return (str(result.settings.batch), result.model, *figures, f"{throughput:,.0f}", describe(comparison))


def _notes(report: BenchReport) -> list[str]:
    """Return one line per note, with the results it holds for."""
    concerned: dict[str, list[str]] = {}
    for result in report.results:
        for note in result.notes:
            concerned.setdefault(note, []).append(f"{result.model} (batch {result.settings.batch})")
    return [*report.notes, *(f"{note}: {', '.join(which)}" for note, which in concerned.items())]
