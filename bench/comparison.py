"""Results of a benchmark and what they say about each other; free of torch and of runtimes.

Reading a document, a gate and a report need no model, so they should not wait for torch to load.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.conditions import Conditions
from bench.results import BenchResult, Fed, Search, Served
from bench.statistics import (
    MIN_ROUNDS,
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
        mode: how it was measured.
        scenario: what MLPerf Inference calls that.
        partial: whether it was interrupted, so that some of what was asked for is missing.
        fed: images that models were fed; None where it was noise.
        conditions: state of the machine before and after; None in documents of older versions.
        served: answers to queries that came at random.
        searches: for the highest rate of queries within a limit.
    """

    results: tuple[BenchResult, ...]
    comparisons: tuple[Comparison, ...]
    environment: dict[str, str]
    notes: tuple[str, ...]
    mode: str = "latency"
    scenario: str = "SingleStream"
    partial: bool = False
    fed: Fed | None = None
    conditions: Conditions | None = None
    served: tuple[Served, ...] = ()
    searches: tuple[Search, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was measured."""
        return not (self.results or self.served or self.searches)

    def role(self, result: BenchResult) -> str:
        """Return how a result stands to the first one of its runtime and batch size, in words."""
        key = (result.settings.backend, result.settings.batch)
        group = [r for r in self.results if (r.settings.backend, r.settings.batch) == key]
        if result is group[0]:
            return "baseline"
        found = (c for c in self.comparisons if (c.model, c.backend, c.batch) == (result.model, *key))
        return next((c.describe() for c in found), "too few rounds")

    def best(self) -> tuple[BenchResult, ...]:
        """Return of each model and runtime the result with the most samples a second."""
        found: dict[tuple[str, str], BenchResult] = {}
        for result in self.results:
            held = found.setdefault((result.model, result.settings.backend), result)
            if _rate(result) > _rate(held):
                found[result.model, result.settings.backend] = result
        return tuple(found.values())

    def __str__(self) -> str:
        """Return one line per result, names as text, and the notes below."""
        lines = []
        for result in self.results:
            times = percentiles(result.samples_ms)
            lines.append(
                f"batch {result.settings.batch}  {foreign(result.model)}: {significant(times.p50_ms)} ms, "
                f"{significant(_rate(result))} samples/s, {self.role(result)}"
            )
        for served in self.served:
            times = percentiles([served.samples_ms])
            lines.append(
                f"batch {served.settings.batch}  {foreign(served.model)}: "
                f"{significant(served.settings.rate_per_s)} queries/s, p50 {significant(times.p50_ms)} ms, "
                f"p99 {significant(times.p99_ms)} ms"
            )
        lines += [f"{foreign(search.model)}: {search.describe()}" for search in self.searches]
        return "\n".join([*lines, *map(foreign, self.notes)])


def _rate(result: BenchResult) -> float:
    return throughput_per_s(result.samples_ms, result.settings.batch)


def compare_with_first(results: Sequence[BenchResult], *, seed: int) -> tuple[Comparison, ...]:
    """Compare results of the same backend and batch size with the first of them, in order.

    Those of an interrupted measurement with too few rounds for an interval are left out.
    """
    firsts: dict[tuple[str, int], BenchResult] = {}
    comparisons = []
    for result in results:
        key = (result.settings.backend, result.settings.batch)
        first = firsts.setdefault(key, result)
        if first is not result and len(result.samples_ms) >= MIN_ROUNDS:
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
