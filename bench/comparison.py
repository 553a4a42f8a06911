"""Results of a benchmark and what they say about each other; free of torch and of runtimes.

Reading a document, a gate and a report need no model, so they should not wait for torch to load.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.results import BenchResult
from bench.statistics import (
    Speedup,
    Verdict,
    percentiles,
    significant,
    speedup,
    throughput_per_s,
    verdict,
)
from compressor.base.text import foreign


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One model against the first one, in the same rounds.

    Attributes:
        model: name of the candidate.
        baseline: name of the first model.
        backend: runtime of both.
        batch: samples per call.
        speedup: time of the baseline over time of the candidate.
        verdict: what the interval allows to be said.
    """

    model: str
    baseline: str
    backend: str
    batch: int
    speedup: Speedup
    verdict: Verdict

    def describe(self) -> str:
        """Return the speed-up in words and figures."""
        interval = f"({self.speedup.low:.2f}..{self.speedup.high:.2f})"
        if self.verdict == "no difference":
            return f"no difference {interval}"
        if self.verdict == "too noisy":
            return f"too noisy to tell {interval}"
        return f"{self.speedup.value:.2f}x, {self.verdict} {interval}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """Everything measured.

    Attributes:
        results: raw samples, one entry per batch size and model.
        comparisons: every model but the first against the first, per batch size.
        environment: machine and versions, read before the first call.
        notes: what applies to all results.
    """

    results: tuple[BenchResult, ...]
    comparisons: tuple[Comparison, ...]
    environment: dict[str, str]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return one line per result, names as text, and the notes below."""
        said = {(c.model, c.backend, c.batch): c.describe() for c in self.comparisons}
        lines = []
        for result in self.results:
            settings = result.settings
            times = percentiles(result.samples_ms)
            rate = throughput_per_s(result.samples_ms, settings.batch)
            lines.append(
                f"batch {settings.batch}  {foreign(result.model)}: {significant(times.p50_ms)} ms, "
                f"{significant(rate)} samples/s, "
                + said.get((result.model, settings.backend, settings.batch), "baseline")
            )
        return "\n".join([*lines, *map(foreign, self.notes)])


def compare_with_first(results: Sequence[BenchResult], *, seed: int) -> tuple[Comparison, ...]:
    """Compare results of the same backend and batch size with the first of them, in order."""
    firsts: dict[tuple[str, int], BenchResult] = {}
    comparisons = []
    for result in results:
        key = (result.settings.backend, result.settings.batch)
        first = firsts.setdefault(key, result)
        if first is not result:
            comparisons.append(_comparison(first, result, seed))
    return tuple(comparisons)


def _comparison(first: BenchResult, result: BenchResult, seed: int) -> Comparison:
    measured = speedup(first.samples_ms, result.samples_ms, seed=seed)
    return Comparison(
        model=result.model,
        baseline=first.model,
        backend=result.settings.backend,
        batch=result.settings.batch,
        speedup=measured,
        verdict=verdict(measured),
    )
