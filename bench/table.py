"""A benchmark for human readers: one row per batch size and model."""

from typing import Final

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from bench.comparison import BenchReport
from bench.results import BenchResult, Served
from bench.statistics import percentiles, significant, throughput_per_s
from compressor.base.text import foreign, shown

_PRECISION: Final = {"fp32": "", "unknown": " (precision unknown)"}
"""What stands behind a model's name where it is not the precision itself."""
_FIGURES: Final = ("p50 ms", "p90 ms", "p99 ms", "samples/s")
_SERVED: Final = ("queries/s", "p50 ms", "p90 ms", "p99 ms", "queries")


def render(report: BenchReport) -> Table:
    """Return a table; a speed-up whose interval includes 1 reads "no difference". Notes stand below.

    Names are shown as text: what looks like markup in them is none.
    """
    served = report.mode == "server"
    table = Table(box=SIMPLE, caption=Text("\n".join(map(shown, _notes(report)))), caption_justify="left")
    table.add_column("batch", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=12)
    for column in _SERVED if served else _FIGURES:
        table.add_column(column, justify="right", no_wrap=True)
    if not served:
        table.add_column("speed-up (95 %)", min_width=15)
    for result in report.results:
        table.add_row(*_cells(result, report.role(result)))
    for one in report.served:
        table.add_row(*_served_cells(one))
    return table


def _cells(result: BenchResult, role: str) -> tuple[str | Text, ...]:
    times = percentiles(result.samples_ms)
    throughput = throughput_per_s(result.samples_ms, result.settings.batch)
    figures = (significant(ms) for ms in (times.p50_ms, times.p90_ms, times.p99_ms))
    name = _named(result.model, result.settings.precision)
    return (str(result.settings.batch), name, *figures, significant(throughput), role)


def _served_cells(served: Served) -> tuple[str | Text, ...]:
    times, settings = percentiles([served.samples_ms]), served.settings
    figures = (settings.rate_per_s, times.p50_ms, times.p90_ms, times.p99_ms)
    return (
        str(settings.batch), _named(served.model, settings.precision), *map(significant, figures),
        str(len(served.samples_ms)),
    )  # fmt: skip


def _named(model: str, precision: str) -> Text:
    return Text(foreign(model) + _PRECISION.get(precision, f" ({foreign(precision)})"))


def _notes(report: BenchReport) -> list[str]:
    """Return one line per note, with the results it holds for."""
    concerned: dict[str, list[str]] = {}
    measured: tuple[BenchResult | Served, ...] = (*report.results, *report.served)
    for result in measured:
        for note in result.notes:
            concerned.setdefault(note, []).append(f"{result.model} (batch {result.settings.batch})")
    if any(comparison.verdict == "too noisy" for comparison in report.comparisons):
        concerned[
            "an interval spans a factor of two: measure longer (--seconds) or on a quieter machine"
        ] = []
    return [
        *_headlines(report),
        *report.notes,
        *(": ".join([note, *filter(None, [", ".join(which)])]) for note, which in concerned.items()),
    ]


def _headlines(report: BenchReport) -> list[str]:
    """Return what a mode was asked to find, and that something is missing."""
    lines = ["interrupted: this is what was measured until then"] if report.partial else []
    lines += [f"{search.model} (batch {search.batch}): {search.describe()}" for search in report.searches]
    for result in report.best() if report.mode == "throughput" else ():
        batch, rate = result.settings.batch, throughput_per_s(result.samples_ms, result.settings.batch)
        lines.append(f"best batch of {result.model}: {batch}, {significant(rate)} samples/s")
    return lines
