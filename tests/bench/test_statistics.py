import math

import numpy as np
import numpy.typing as npt
import pytest

from bench.statistics import (
    Speedup,
    percentiles,
    speedup,
    throughput_per_s,
    verdict,
)

Times = npt.NDArray[np.float64]


def simulated(rng: np.random.Generator, drift: float, own: float, ratio: float) -> tuple[Times, Times]:
    """Return times of two models in 8 rounds: drift that both suffer, effects of single blocks, outliers."""
    common = np.exp(rng.normal(0, drift, (8, 1)))

    def times(typical: float) -> Times:
        block = np.exp(rng.normal(0, own, (8, 1)))
        noise = np.exp(rng.normal(0, 0.05, (8, 10)))
        outliers = 1 + rng.exponential(1, (8, 10)) * (rng.random((8, 10)) < 0.05)
        return typical * common * block * noise * outliers

    return times(ratio), times(1.0)


def coverage(drift: float, own: float, ratio: float, runs: int = 200) -> float:
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(runs):
        baseline, candidate = simulated(rng, drift, own, ratio)
        found = speedup(baseline.tolist(), candidate.tolist(), seed=seed, resamples=400)
        hits += found.low <= ratio <= found.high
    return hits / runs


def test_percentiles_and_throughput_of_known_samples() -> None:
    blocks = [[float(i) for i in range(1, 51)], [float(i) for i in range(51, 102)]]
    found = percentiles(blocks)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == (51.0, 91.0, 100.0)
    assert throughput_per_s([[4.0, 4.0]], batch=8) == 2000.0


def test_constant_times_give_an_exact_ratio() -> None:
    found = speedup([[6.0] * 5] * 8, [[4.0] * 3] * 8, seed=0)
    assert found == Speedup(value=1.5, low=1.5, high=1.5)
    assert verdict(found) == "faster"


def test_drift_that_both_share_cancels() -> None:
    clock = [1.0, 1.3, 0.8, 2.0, 1.1, 0.9, 1.6, 1.2]
    found = speedup([[3 * c] * 4 for c in clock], [[2 * c] * 4 for c in clock], seed=0)
    assert found.value == pytest.approx(1.5)
    assert found.low == pytest.approx(1.5)
    assert found.high == pytest.approx(1.5)


def test_the_seed_decides_the_interval() -> None:
    baseline, candidate = simulated(np.random.default_rng(0), 0.1, 0.02, 1.5)
    first, again, other = (speedup(baseline.tolist(), candidate.tolist(), seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.value == other.value
    assert first != other


@pytest.mark.parametrize(("drift", "own"), [(0.0, 0.0), (0.1, 0.03), (0.05, 0.1)])
def test_the_interval_covers_the_true_ratio(drift: float, own: float) -> None:
    assert 0.93 <= coverage(drift, own, ratio=1.4) <= 1.0


def test_a_model_against_itself_is_no_difference_in_about_95_percent() -> None:
    assert 0.93 <= coverage(drift=0.0, own=0.02, ratio=1.0) <= 0.995


def test_a_clear_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    found = [simulated(rng, 0.05, 0.02, 1.2) for _ in range(20)]
    verdicts = [verdict(speedup(a.tolist(), b.tolist(), seed=0, resamples=300)) for a, b in found]
    assert verdicts.count("faster") >= 19
    swapped = [verdict(speedup(b.tolist(), a.tolist(), seed=0, resamples=300)) for a, b in found]
    assert swapped.count("slower") >= 19


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.01, 1.2, "faster"),
        (0.8, 0.99, "slower"),
        (0.9, 1.1, "no difference"),
        (1.0, 1.1, "no difference"),
        (0.9, 1.0, "no difference"),
        (3.28, 95.56, "too noisy"),
        (0.7, 1.4, "too noisy"),
    ],
)
def test_verdict(low: float, high: float, word: str) -> None:
    assert verdict(Speedup(value=(low + high) / 2, low=low, high=high)) == word


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_samples_that_are_no_times_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        percentiles([[1.0], [bad]])
    with pytest.raises(ValueError, match="positive"):
        speedup([[1.0]] * 5, [[1.0]] * 4 + [[bad]], seed=0)


def test_rounds_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        percentiles([])
    with pytest.raises(ValueError, match="paired"):
        speedup([[1.0]] * 8, [[1.0]] * 7, seed=0)
    with pytest.raises(ValueError, match="shape"):
        speedup([[1.0]] * 7 + [[1.0, 1.0]], [[1.0]] * 8, seed=0)
    with pytest.raises(ValueError, match="paired"):
        speedup([[1.0]] * 4, [[1.0]] * 4, seed=0)
