"""Results that may be compared: of one benchmark, on one runtime, at one batch size."""

from dataclasses import dataclass

from bench.comparison import BenchReport, Comparison
from bench.results import BenchResult
from bench.statistics import percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What was measured together.

    Attributes:
        title: in words: ``onnxruntime, batch 1, 2 threads``.
        results: the baseline first.
        comparisons: of the others with it.
    """

    title: str
    results: tuple[BenchResult, ...]
    comparisons: tuple[Comparison, ...]

    def comparison(self, model: str) -> Comparison | None:
        """Return what is said of a model; nothing of the baseline."""
        return next((one for one in self.comparisons if one.model == model), None)


def settings_of(report: BenchReport) -> list[Setting]:
    """Return what was measured together, in the order of the benchmark."""
    keys = dict.fromkeys((one.settings.backend, one.settings.batch) for one in report.results)
    return [_setting(report, backend, batch) for backend, batch in keys]


def median_ms(result: BenchResult) -> float:
    """Return the median time of a call."""
    return percentiles(result.samples_ms).p50_ms


def _setting(report: BenchReport, backend: str, batch: int) -> Setting:
    results = tuple(
        one for one in report.results if (one.settings.backend, one.settings.batch) == (backend, batch)
    )
    numbers = {one.settings.threads for one in results}
    threads = ", ".join("threads as it chose" if count is None else f"{count} threads" for count in numbers)
    return Setting(
        title=f"{backend}, batch {batch}, {threads}".replace(" 1 threads", " 1 thread"),
        results=results,
        comparisons=tuple(one for one in report.comparisons if (one.backend, one.batch) == (backend, batch)),
    )
