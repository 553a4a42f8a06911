"""A server with one worker: queries come at random, wait for their turn, and are answered in order.

Arrivals are a Poisson process, as in MLPerf's Server scenario: independent of each other and of the server,
so that gaps follow an exponential distribution. A query is due at its moment whether the worker is free or
not, and its latency counts from there to its answer. The worker is the real session: nothing of it is
modelled.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.measure import CLOCK, Call, Clock, no_garbage_collection
from bench.queries import most_late
from bench.results import Probe

MOST_PROBES: Final = 12
CLOSE: Final = 1.03
"""Rates that differ by less than this are one: the search ends."""
LOWEST: Final = 1 / 64
"""Share of what the worker can do at all below which nothing is tried: a queue is rare there anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Queries that come at random.

    Attributes:
        rate_per_s: how many a second.
        queries: how many.
        seed: of the arrivals; the same seed gives the same gaps at another rate, only longer or shorter.
    """

    rate_per_s: float
    queries: int
    seed: int

    def due_s(self) -> Sequence[float]:
        """Return the moments at which queries come, seconds from the start."""
        gaps = np.random.default_rng([self.seed, self.queries]).exponential(size=self.queries)
        moments: list[float] = (np.cumsum(gaps) / self.rate_per_s).tolist()
        return moments


def answered(call: Call, stream: Stream, clock: Clock = CLOCK) -> Iterator[float]:
    """Answer a stream; yield the latency of each query, milliseconds from arrival to answer, in order.

    Waking up for a query that finds the worker idle is a part of its latency, as in a server.
    """
    start_ns = clock.now_ns()
    for due_s in stream.due_s():
        due_ns = start_ns + round(1e9 * due_s)
        while (ahead_ns := due_ns - clock.now_ns()) > 0:
            clock.sleep_s(ahead_ns / 1e9)
        call()
        yield (clock.now_ns() - due_ns) / 1e6


def probed(latencies_ms: Iterable[float], stream: Stream, limit_ms: float) -> tuple[Probe, tuple[float, ...]]:
    """Judge a rate while it is answered; end as soon as too many queries were late.

    Args:
        latencies_ms: of the queries of a stream, as they are answered.
        stream: that is answered.
        limit_ms: of the 99th percentile.

    Returns:
        What was found, and the latencies.
    """
    allowed, late, seen_ms = most_late(stream.queries), 0, []
    with no_garbage_collection():
        for latency_ms in latencies_ms:
            seen_ms.append(latency_ms)
            late += latency_ms > limit_ms
            if late > allowed:
                break
    return Probe(rate_per_s=stream.rate_per_s, queries=len(seen_ms), late=late), tuple(seen_ms)


def bisected(try_rate: Callable[[float], bool], most_per_s: float) -> None:
    """Look for the highest rate that is good, between 0 and what the worker can do at all.

    Args:
        try_rate: says whether a rate is good; it remembers what it found.
        most_per_s: no rate from here on can last: one worker answers one query after the other.
    """
    low, high = 0.0, most_per_s
    for _ in range(MOST_PROBES):
        if high <= CLOSE * low or high <= LOWEST * most_per_s:
            break
        rate = (low + high) / 2
        low, high = (rate, high) if try_rate(rate) else (low, rate)
