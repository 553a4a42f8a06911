"""The queue, against a clock of its own and what queueing theory says of it."""

from statistics import fmean

import numpy as np
import pytest

from bench.measure import Clock
from bench.queries import most_late
from bench.results import Probe, Search
from bench.serving import LOWEST, MOST_PROBES, Stream, answered, bisected, probed


class Machine:
    """Time moves when the model runs, or when somebody waits."""

    def __init__(self, service_ms: float) -> None:
        self.now_ns = 0
        self.service_ns = round(service_ms * 1e6)

    @property
    def clock(self) -> Clock:
        return Clock(now_ns=lambda: self.now_ns, sleep_s=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_ns += max(1, round(seconds * 1e9))

    def call(self) -> None:
        self.now_ns += self.service_ns

    def latencies_ms(self, rate_per_s: float, queries: int) -> list[float]:
        stream = Stream(rate_per_s=rate_per_s, queries=queries, seed=0)
        return list(answered(self.call, stream, self.clock))


def test_arrivals_are_a_poisson_process_of_the_rate_and_come_again_with_the_seed() -> None:
    due = np.array(Stream(rate_per_s=50, queries=20_000, seed=3).due_s())
    gaps = np.diff(due, prepend=0)
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)  # as large as the mean: exponential
    assert (due == Stream(rate_per_s=50, queries=20_000, seed=3).due_s()).all()
    assert (due != Stream(rate_per_s=50, queries=20_000, seed=4).due_s()).all()


def test_a_query_waits_for_those_before_it() -> None:
    stream = Stream(rate_per_s=1000, queries=5, seed=0)
    free_s, expected = 0.0, []
    for due_s in stream.due_s():
        free_s = max(free_s, due_s) + 0.010
        expected.append(1e3 * (free_s - due_s))
    assert Machine(10).latencies_ms(1000, 5) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("busy", [0.3, 0.6])
def test_the_mean_wait_is_that_of_an_m_d_1_queue(busy: float) -> None:
    """Pollaczek and Khinchine, service always the same: busy * service / (2 * (1 - busy))."""
    found = fmean(Machine(10).latencies_ms(busy / 0.010, 60_000))
    assert found == pytest.approx(10 + busy * 10 / (2 * (1 - busy)), rel=0.02)


def test_a_rate_is_given_up_as_soon_as_too_many_are_late() -> None:
    stream = Stream(rate_per_s=1000, queries=1000, seed=0)
    machine = Machine(10)  # ten times more than it can answer
    probe, latencies_ms = probed(answered(machine.call, stream, machine.clock), stream, 50)
    assert not probe.met
    assert probe.late == most_late(1000) + 1
    assert probe.queries == len(latencies_ms) < 50


def test_the_search_ends_close_to_the_rate_that_is_just_good() -> None:
    probes: list[Probe] = []

    def good(rate_per_s: float) -> bool:
        probes.append(Probe(rate_per_s=rate_per_s, queries=1000, late=0 if rate_per_s <= 70 else 1000))
        return probes[-1].met

    bisected(good, 100)
    search = Search(model="m", backend="b", batch=1, limit_ms=20, call_ms=10, probes=tuple(probes))
    assert search.highest_per_s is not None
    assert 70 / 1.03 <= search.highest_per_s <= 70
    assert "up to 69" in search.describe() or "up to 68" in search.describe()
    assert len(probes) <= MOST_PROBES


def test_a_search_without_success_gives_up_and_says_so() -> None:
    tried: list[float] = []

    def bad(rate_per_s: float) -> bool:
        tried.append(rate_per_s)
        return False

    bisected(bad, 100)
    assert tried[-1] == pytest.approx(100 * LOWEST)
    search = Search(model="m", backend="b", batch=1, limit_ms=5, call_ms=10, probes=())
    assert search.describe() == "no rate keeps p99 below 5 ms: a call takes 10.0 ms"
