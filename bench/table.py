"""A benchmark for human readers: one row per batch size and model."""

from typing import Final

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from bench.comparison import BenchReport, Comparison
from bench.results import BenchResult
from bench.statistics import percentiles, significant, throughput_per_s
from compressor.base.text import foreign, shown

_PRECISION: Final = {"fp32": "", "unknown": " (precision unknown)"}
"""What stands behind a model's name where it is not the precision itself."""
_FIGURES = ("p50 ms", "p90 ms", "p99 ms", "samples/s")


def render(report: BenchReport) -> Table:
    """Return a table; a speed-up whose interval includes 1 reads "no difference". Notes stand below.

    Names are shown as text: what looks like markup in them is none.
    """
    table = Table(box=SIMPLE, caption=Text("\n".join(map(shown, _notes(report)))), caption_justify="left")
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


def _cells(result: BenchResult, comparison: Comparison | None) -> tuple[str | Text, ...]:
    times = percentiles(result.samples_ms)
    throughput = throughput_per_s(result.samples_ms, result.settings.batch)
    figures = (significant(ms) for ms in (times.p50_ms, times.p90_ms, times.p99_ms))
    precision = _PRECISION.get(result.settings.precision, f" ({foreign(result.settings.precision)})")
    return (
        str(result.settings.batch), Text(foreign(result.model) + precision), *figures,
        significant(throughput), comparison.describe() if comparison else "baseline",
    )  # fmt: skip


def _notes(report: BenchReport) -> list[str]:
    """Return one line per note, with the results it holds for."""
    concerned: dict[str, list[str]] = {}
    for result in report.results:
        for note in result.notes:
            concerned.setdefault(note, []).append(f"{result.model} (batch {result.settings.batch})")
    if any(comparison.verdict == "too noisy" for comparison in report.comparisons):
        concerned[
            "an interval spans a factor of two: measure longer (--seconds) or on a quieter machine"
        ] = []
    return [
        *report.notes,
        *(": ".join([note, *filter(None, [", ".join(which)])]) for note, which in concerned.items()),
    ]
