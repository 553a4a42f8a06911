"""The rule: look after 6, 8, 11, 15, 20, 27 and 36 rounds, and stop as soon as something may be said.

A *round* is a block of calls of each model, next to each other; r = ln(candidate / baseline) of their
medians. The mean of r has a t interval, one-sided at a level per look that keeps the error over all looks at
``alpha`` (found by simulation: 0.0145 for 5 %, 0.002 for 1 %). Pass where its upper end is below the limit,
fail where its lower end is above, else go on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final, Literal

from bench.statistics import t_quantile
from compressor.base.errors import UsageError

Round = dict[str, tuple[float, ...]]
"""``baseline`` and ``candidate`` -> milliseconds per call."""

Outcome = Literal["pass", "fail", "open"]
Verdict = Literal["pass", "fail"]
OnOpen = Literal["pass", "fail"]
"""Verdict where the rule leaves it open."""

LOOKS: Final = (6, 8, 11, 15, 20, 27, 36)
"""Rounds after which somebody looks."""

LEVELS: Final = {0.05: 0.0145, 0.01: 0.002}
"""Error over all looks -> level of one look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a gate allows.

    Attributes:
        max_regression: share by which the candidate may be slower.
        min_delta_ms: milliseconds below which no difference counts.
        alpha: share of wrong decisions at a true change of exactly the limit.

    Raises:
        UsageError: one of them is out of its range.
    """

    max_regression: float = 0.05
    min_delta_ms: float = 0.05
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.max_regression <= 10:
            raise UsageError(f"--max-regression {self.max_regression:.4g}", "give a share above 0: 5%.")
        if not 0 <= self.min_delta_ms < math.inf:
            raise UsageError(f"--min-delta {self.min_delta_ms}", "give milliseconds from 0: 0.05ms.")
        if self.alpha not in LEVELS:
            known = ", ".join(f"{alpha:g}" for alpha in LEVELS)
            raise UsageError(f"--alpha {self.alpha:g}", f"the looks were worked out for {known}.")

    def threshold(self, baseline_ms: float) -> float:
        """Return the largest r that is allowed, given the baseline's median."""
        return max(math.log1p(self.max_regression), math.log1p(self.min_delta_ms / baseline_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What rounds allow to be said.

    Attributes:
        outcome: whether the candidate is slow enough to fail.
        change: by what share the candidate is slower; negative where it is faster.
        low: lower end of its interval.
        high: upper end.
        limit: share that is allowed.
        rounds: how many were looked at.
    """

    outcome: Outcome
    change: float
    low: float
    high: float
    limit: float
    rounds: int


def decide(ratios: Sequence[float], threshold: float, alpha: float) -> Decision:
    """Return the decision of one look.

    Args:
        ratios: r of each round, at least two.
        threshold: largest r that is allowed.
        alpha: error over all looks.
    """
    count = len(ratios)
    half = t_quantile(1 - LEVELS[alpha], count - 1) * stdev(ratios) / math.sqrt(count)
    return _decision(fmean(ratios), half, threshold, count)


def decide_between(new: Sequence[float], old: Sequence[float], threshold: float, alpha: float) -> Decision:
    """Return the decision on the difference of two means, by Welch's interval; there is one look only.

    Args:
        new: r of each round of the candidate, at least two.
        old: r of each round of what it is held against.
        threshold: largest difference that is allowed.
        alpha: error of either kind.
    """
    error, freedom = _welch(new, old)
    half = t_quantile(1 - alpha, freedom) * error
    return _decision(fmean(new) - fmean(old), half, threshold, len(new))


def _decision(mean: float, half: float, threshold: float, rounds: int) -> Decision:
    outcome: Outcome = "open"
    if mean + half < threshold:
        outcome = "pass"
    elif mean - half > threshold:
        outcome = "fail"
    change, low, high, limit = (math.expm1(r) for r in (mean, mean - half, mean + half, threshold))
    return Decision(outcome=outcome, change=change, low=low, high=high, limit=limit, rounds=rounds)


def _welch(new: Sequence[float], old: Sequence[float]) -> tuple[float, float]:
    """Return the standard error of the difference of means, and Welch and Satterthwaite's freedom."""
    parts = [(stdev(ratios) ** 2 / len(ratios), len(ratios) - 1) for ratios in (new, old)]
    total = math.fsum(part for part, _ in parts)
    if total == 0:
        return 0.0, float(sum(freedom for _, freedom in parts))
    return math.sqrt(total), 1 / math.fsum((part / total) ** 2 / freedom for part, freedom in parts)


def detectable(ratios: Sequence[float], alpha: float) -> float:
    """Return the smallest regression that would be decided after all rounds nine times of ten.

    That is where the interval, and as much again as one estimate in ten is off, fit between 0 and it.
    """
    last = LOOKS[-1]
    spread = stdev(ratios) / math.sqrt(last)
    return math.expm1((t_quantile(1 - LEVELS[alpha], last - 1) + t_quantile(0.9, last - 1)) * spread)


def detectable_between(new: Sequence[float], old: Sequence[float], alpha: float) -> float:
    """Return the smallest regression that the difference of two means like these would tell, likewise."""
    error, freedom = _welch(new, old)
    return math.expm1((t_quantile(1 - alpha, freedom) + t_quantile(0.9, freedom)) * error)
