"""From rounds to a verdict."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from bench.gate.rounds import Round
from bench.gate.rule import LOOKS, Decision, Limits, decide, detectable

OnOpen = Literal["pass", "fail"]
Verdict = Literal["pass", "fail"]
Start = Callable[[], AbstractContextManager[Iterator[Round]]]
"""Starts fresh processes; their rounds come without end."""
Progress = Callable[[str], None]

TRIES: Final = 2
"""Sets of processes before an open question is answered by the estimate alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The end of a gate.

    Attributes:
        verdict: what CI is told.
        decision: of the last look.
        weak: whether the rule left it open, so that ``verdict`` is what the user wants then.
        baseline_ms: median of the baseline over all rounds.
        candidate_ms: of the candidate.
        detectable: smallest regression that this machine could tell after all rounds.
        rounds: every round, in order.
    """

    verdict: Verdict
    decision: Decision
    weak: bool
    baseline_ms: float
    candidate_ms: float
    detectable: float
    rounds: tuple[Round, ...]


def judge(
    start: Start, limits: Limits, *, on_open: OnOpen, progress: Progress = lambda words: None
) -> Judged:
    """Measure until the rule decides; what stays open is measured once more in fresh processes.

    Args:
        start: starts fresh processes.
        limits: what is allowed.
        on_open: verdict where the second set leaves it open too.
        progress: told after every look.
    """
    for _ in range(TRIES):
        judged = _one_set(start, limits, on_open, progress)
        if not judged.weak:
            break
    return judged


def _one_set(start: Start, limits: Limits, on_open: OnOpen, progress: Progress) -> Judged:
    taken: list[Round] = []
    with start() as source:
        for look in LOOKS:
            while len(taken) < look:
                taken.append(next(source))
                progress(f"round {len(taken)} of at most {LOOKS[-1]}")
            decision = _look(taken, limits)
            progress(
                f"after {look} rounds: {decision.change:+.1%} ({decision.low:+.1%}..{decision.high:+.1%}), "
                f"{decision.outcome}"
            )
            if decision.outcome != "open":
                break
    return _judged(taken, decision, limits, on_open)


def _look(taken: list[Round], limits: Limits) -> Decision:
    return decide(ratios_of(taken), limits.threshold(_median_of(taken, "baseline")), limits.alpha)


def ratios_of(taken: list[Round]) -> list[float]:
    """Return ln(candidate / baseline) of the medians of each round."""
    return [math.log(median(one["candidate"]) / median(one["baseline"])) for one in taken]


def _median_of(taken: list[Round], name: str) -> float:
    return median(ms for one in taken for ms in one[name])


def _judged(taken: list[Round], decision: Decision, limits: Limits, on_open: OnOpen) -> Judged:
    weak = decision.outcome == "open"
    return Judged(
        verdict=on_open if decision.outcome == "open" else decision.outcome,
        decision=decision,
        weak=weak,
        baseline_ms=_median_of(taken, "baseline"),
        candidate_ms=_median_of(taken, "candidate"),
        detectable=detectable(ratios_of(taken), limits.alpha),
        rounds=tuple(taken),
    )
