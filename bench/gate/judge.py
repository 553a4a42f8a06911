"""From rounds to a verdict."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from bench.gate.metrics import check_calls, needed_calls, over_all, ratios_of
from bench.gate.rule import LOOKS, Decision, Limits, OnOpen, Round, Verdict, decide, detectable
from compressor.base.pace import Say, unheard

Start = Callable[[], AbstractContextManager[Iterator[Round]]]
"""Starts fresh processes; their rounds come without end."""

TRIES: Final = 2
"""Sets of processes before an open question is answered by the estimate alone."""

MEDIAN: Final = ("p50",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The end of a gate on one metric.

    Attributes:
        metric: what was compared: ``p50``, ``p90`` or ``p99``.
        verdict: what CI is told.
        decision: of the last look.
        weak: whether the rule left it open, so that ``verdict`` is what the user wants then.
        baseline_ms: metric of the baseline over the calls of all rounds.
        candidate_ms: of the candidate.
        detectable: smallest regression that this machine could tell after all rounds.
        ratios: r of each round, ln(candidate / baseline) of the metric.
        rounds: every round, in order.
    """

    metric: str
    verdict: Verdict
    decision: Decision
    weak: bool
    baseline_ms: float
    candidate_ms: float
    detectable: float
    ratios: tuple[float, ...]
    rounds: tuple[Round, ...]


def judge(
    start: Start,
    limits: Limits,
    *,
    on_open: OnOpen,
    metrics: Sequence[str] = MEDIAN,
    progress: Say = unheard,
) -> dict[str, Judged]:
    """Measure until the rule decides; what stays open is measured once more in fresh processes.

    Args:
        start: starts fresh processes.
        limits: what is allowed.
        on_open: verdict where the second set leaves it open too.
        metrics: names in `bench.gate.metrics.METRICS`, all judged by the same rounds.
        progress: told after every look.

    Returns:
        What came of each metric.

    Raises:
        UsageError: a round has too few calls for a metric.
    """
    found: dict[str, Judged] = {}
    for _ in range(TRIES):
        left = [metric for metric in metrics if metric not in found or found[metric].weak]
        if left:
            found |= _one_set(start, limits, on_open, left, progress)
    return {metric: found[metric] for metric in metrics}


def _one_set(
    start: Start, limits: Limits, on_open: OnOpen, metrics: Sequence[str], progress: Say
) -> dict[str, Judged]:
    taken: list[Round] = []
    found: dict[str, Judged] = {}
    with start() as source:
        for look in LOOKS:
            while len(taken) < look:
                taken.append(next(source))
                progress(f"round {len(taken)} of at most {LOOKS[-1]}")
                _check_round(taken[-1], metrics, limits.alpha)
            for metric in metrics:
                if metric not in found or found[metric].weak:
                    found[metric] = _judged(metric, taken, limits, on_open)
                    progress(_said(found[metric]))
            if not any(judged.weak for judged in found.values()):
                break
    return found


def _check_round(one: Round, metrics: Sequence[str], alpha: float) -> None:
    calls = LOOKS[0] * min(len(times) for times in one.values())
    for metric in metrics:
        where = f"and {LOOKS[0]} rounds, which is the first look, have"
        times = needed_calls(metric, alpha) / calls
        check_calls(metric, calls, alpha, where, f"give {times:.1f} times as many --seconds, or some more.")


def _judged(metric: str, taken: Sequence[Round], limits: Limits, on_open: OnOpen) -> Judged:
    baseline_ms = over_all(taken, metric, "baseline")
    ratios = ratios_of(taken, metric)
    decision = decide(ratios, limits.threshold(baseline_ms), limits.alpha)
    return Judged(
        metric=metric,
        verdict=on_open if decision.outcome == "open" else decision.outcome,
        decision=decision,
        weak=decision.outcome == "open",
        baseline_ms=baseline_ms,
        candidate_ms=over_all(taken, metric, "candidate"),
        detectable=detectable(ratios, limits.alpha),
        ratios=tuple(ratios),
        rounds=tuple(taken),
    )


def _said(judged: Judged) -> str:
    decision = judged.decision
    return (
        f"after {decision.rounds} rounds: {judged.metric} {decision.change:+.1%} "
        f"({decision.low:+.1%}..{decision.high:+.1%}), {decision.outcome}"
    )
