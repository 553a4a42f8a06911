"""Percentiles as the gate compares them, and how many calls they need."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from scipy.stats import binom

from bench.gate.judge import Judged, judge
from bench.gate.metrics import check_calls, log_ratio, metrics_of, needed_calls
from bench.gate.rule import Limits, Round
from compressor.base.errors import UsageError


@pytest.mark.parametrize(
    ("metric", "alpha", "calls"),
    [("p90", 0.05, 29), ("p90", 0.01, 44), ("p99", 0.05, 299), ("p99", 0.01, 459), ("p50", 0.05, 5)],
)
def test_calls_are_as_many_as_one_of_them_lies_beyond_the_percentile(
    metric: str, alpha: float, calls: int
) -> None:
    assert needed_calls(metric, alpha) == calls
    beyond = 1 - int(metric[1:]) / 100
    assert binom.pmf(0, calls, beyond) <= alpha < binom.pmf(0, calls - 1, beyond)


def test_too_few_calls_are_refused_with_the_number_that_is_missing() -> None:
    check_calls("p99", 299, 0.05, "and this has", "wait.")
    with pytest.raises(
        UsageError, match=r"p99 needs 299 calls of each model, and this has 290: 9 are missing"
    ):
        check_calls("p99", 290, 0.05, "and this has", "wait.")


@pytest.mark.parametrize("text", ["p95", "p50,p50", "", "p50;p90"])
def test_other_metrics_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--metric"):
        metrics_of(text)


def test_high_percentiles_are_of_as_many_calls_of_both() -> None:
    few, many = [1.0, 1.0, 1.0, 2.0], [1.0, 1.0, 1.0, 2.0, 50.0, 50.0, 50.0]
    assert log_ratio("p99", few, many) == 0
    assert log_ratio("p99", many, few) == 0
    assert log_ratio("p50", [1.0, 2.0, 3.0], [4.0]) == pytest.approx(math.log(2))


class Tail:
    """A candidate as quick as the baseline, of whose calls one in twenty takes half as long again."""

    def __init__(self, calls: int) -> None:
        self.calls, self.started = calls, 0

    @contextmanager
    def start(self) -> Iterator[Iterator[Round]]:
        self.started += 1
        yield self._rounds(np.random.default_rng(self.started))

    def _rounds(self, rng: np.random.Generator) -> Iterator[Round]:
        while True:
            baseline, candidate = rng.lognormal(2, 0.01, (2, self.calls))
            slow = rng.permutation(self.calls) < self.calls / 20
            yield {"baseline": tuple(baseline), "candidate": tuple(np.where(slow, 1.5, 1) * candidate)}


def judged(machine: Tail, *metrics: str) -> dict[str, Judged]:
    return judge(machine.start, Limits(), on_open="pass", metrics=metrics)


def test_a_longer_tail_fails_p99_and_no_other() -> None:
    machine = Tail(60)
    found = judged(machine, "p50", "p90", "p99")
    assert {name: one.verdict for name, one in found.items()} == {"p50": "pass", "p90": "pass", "p99": "fail"}
    assert found["p99"].candidate_ms / found["p99"].baseline_ms == pytest.approx(1.5, rel=0.05)
    assert not any(one.weak for one in found.values())
    assert machine.started == 1


def test_rounds_too_short_for_a_percentile_end_the_gate() -> None:
    with pytest.raises(UsageError, match=r"p99 needs 299 calls .* have 294: 5 are missing") as caught:
        judged(Tail(49), "p50", "p99")
    assert "--seconds" in caught.value.hint
