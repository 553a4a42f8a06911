"""What a gate compares: a percentile of the calls of each round.

A percentile that few calls lie beyond is an accident of the longest of them. That n calls say something of
the q quantile, one of them has to lie beyond it: q ** n may be at most the error that is allowed, which is
29 calls for p90 and 299 for p99 at 5 %, 44 and 459 at 1 %. They have to be there at the first look.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from bench.gate.rule import Round
from compressor.base.errors import UsageError

METRICS: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Name -> quantile."""


def metrics_of(text: str) -> tuple[str, ...]:
    """Return the metrics in ``p50,p99``.

    Raises:
        UsageError: one is unknown or occurs twice.
    """
    names = tuple(text.split(","))
    if not set(names) <= set(METRICS) or len(set(names)) < len(names):
        raise UsageError(f"--metric {text!r}", f"write some of {','.join(METRICS)}, each once.")
    return names


def needed_calls(metric: str, alpha: float) -> int:
    """Return how many calls a percentile needs at an error of ``alpha``."""
    return math.ceil(math.log(alpha) / math.log(METRICS[metric]))


def check_calls(metric: str, calls: int, alpha: float, where: str, hint: str) -> None:
    """Refuse a percentile of too few calls.

    Raises:
        UsageError: with the number that is missing.
    """
    needed = needed_calls(metric, alpha)
    if calls < needed:
        words = f"{metric} needs {needed} calls of each model, {where} {calls}: {needed - calls} are missing"
        raise UsageError(words, hint)


def log_ratio(metric: str, baseline_ms: Sequence[float], candidate_ms: Sequence[float]) -> float:
    """Return r of one round: ln(candidate / baseline) of the metric.

    Where one made more calls than the other, the first ones count: a high percentile of few calls is
    expected lower than one of many.
    """
    calls = min(len(baseline_ms), len(candidate_ms)) if metric != "p50" else None
    return math.log(_of(metric, candidate_ms[:calls])) - math.log(_of(metric, baseline_ms[:calls]))


def ratios_of(taken: Sequence[Round], metric: str) -> list[float]:
    """Return r of each round."""
    return [log_ratio(metric, one["baseline"], one["candidate"]) for one in taken]


def over_all(taken: Sequence[Round], metric: str, name: str) -> float:
    """Return milliseconds of a model over the calls of all rounds."""
    return _of(metric, [ms for one in taken for ms in one[name]])


def _of(metric: str, times_ms: Sequence[float]) -> float:
    return float(np.quantile(times_ms, METRICS[metric]))
