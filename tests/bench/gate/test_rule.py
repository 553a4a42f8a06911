"""The rule against its own promise, and against SciPy's t distribution."""

import math

import numpy as np
import pytest
from scipy.stats import t

from bench.gate.rule import LEVELS, LOOKS, Limits, decide, detectable
from bench.statistics import t_quantile
from compressor.base.errors import UsageError

LIMIT = math.log1p(0.05)


@pytest.mark.parametrize("level", [0.9, 0.975, *(1 - level for level in LEVELS.values())])
@pytest.mark.parametrize("freedom", [5, 7, 10, 14, 19, 26, 35])
def test_quantiles_are_those_of_the_t_distribution(level: float, freedom: int) -> None:
    assert t_quantile(level, freedom) == pytest.approx(t.ppf(level, freedom), rel=0.012)


def outcomes(change: float, spread: float, repeats: int) -> tuple[dict[str, float], float]:
    """Return the share of each outcome, and the mean number of rounds."""
    rng = np.random.default_rng(0)
    found, rounds = {"pass": 0, "fail": 0, "open": 0}, 0
    for _ in range(repeats):
        ratios = rng.normal(change, spread, LOOKS[-1]).tolist()
        for look in LOOKS:
            decision = decide(ratios[:look], LIMIT, 0.05)
            if decision.outcome != "open":
                break
        found[decision.outcome] += 1
        rounds += decision.rounds
    return {name: count / repeats for name, count in found.items()}, rounds / repeats


def test_the_same_model_passes_within_a_dozen_rounds() -> None:
    found, rounds = outcomes(0.0, LIMIT, 2000)
    assert found["fail"] == 0
    assert found["pass"] > 0.99
    assert rounds == pytest.approx(9.7, abs=0.5)


def test_twice_the_limit_is_caught_within_a_dozen_rounds() -> None:
    found, rounds = outcomes(2 * LIMIT, LIMIT, 2000)
    assert found["pass"] == 0
    assert found["fail"] > 0.99
    assert rounds == pytest.approx(9.7, abs=0.5)


def test_at_the_limit_itself_each_error_stays_within_alpha() -> None:
    found, _ = outcomes(LIMIT, LIMIT, 2000)
    assert found["fail"] < 0.065  # 0.05, and three standard deviations of 2000 trials
    assert found["pass"] < 0.065
    assert found["open"] > 0.87


def test_a_difference_below_the_floor_does_not_count() -> None:
    limits = Limits(max_regression=0.05, min_delta_ms=0.05)
    assert limits.threshold(0.1) == pytest.approx(math.log(1.5))
    assert limits.threshold(100) == pytest.approx(LIMIT)
    ratios = [math.log(1.2) + noise for noise in (-0.01, 0.01, 0.0, 0.01, -0.01, 0.0)]
    assert decide(ratios, limits.threshold(0.1), 0.05).outcome == "pass"
    assert decide(ratios, limits.threshold(100), 0.05).outcome == "fail"


def test_the_decision_says_shares() -> None:
    decision = decide([math.log(1.1)] * 5 + [math.log(1.1) + 1e-9], LIMIT, 0.05)
    assert (decision.change, decision.limit) == (pytest.approx(0.1, abs=1e-6), pytest.approx(0.05))
    assert decision.low <= decision.change <= decision.high


def test_a_noisier_machine_can_tell_less() -> None:
    rng = np.random.default_rng(0)
    quiet, noisy = (rng.normal(0, spread, 12).tolist() for spread in (0.01, 0.1))
    assert 0 < detectable(quiet, 0.05) < detectable(noisy, 0.05)


@pytest.mark.parametrize(
    "wrong", [{"max_regression": 0.0}, {"max_regression": math.nan}, {"min_delta_ms": -1.0}, {"alpha": 0.1}]
)
def test_limits_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Limits(**wrong)
