"""Measuring several models against each other on a machine that does not hold still.

Times drift (clocks, neighbours, heat) by more than the differences that matter. So models are not measured
one after the other but in rounds, a block of calls of each, in the order A B, B A, A B ...: drift that is
slower than a round then hits all alike and cancels in the ratio (`bench.statistics`).

Two traps are avoided. Threads of a runtime spin for a while after a call and steal the cores of the next
model: every block starts with an idle gap and untimed calls (without them a pruned ResNet-50 measured 0.89
times as fast as its original, with them 1.21). And first calls allocate, tune and compile: every model is
called until its times are steady.
"""

import contextlib
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.halt import NEVER, Halt

Call = Callable[[], object]
Progress = Callable[[str, int, int], None]
"""Told between blocks, never inside one: what was done, how many of those, out of how many."""

_NS_PER_MS: Final = 1e6
_KEPT_ROUNDS: Final = 2
"""Rounds of an interrupted measurement that are worth keeping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSettings:
    """How long and how carefully to measure.

    Attributes:
        budget_s: timed seconds per model; exceeded where the smallest number of calls needs more.
        min_blocks: blocks per model at least; the statistics need several rounds.
        max_blocks: blocks per model at most.
        min_runs: timed calls per block at least.
        good_runs: timed calls per block of the slowest model, where that leaves enough blocks.
        max_runs: timed calls per block at most.
        gap_s: idle seconds before a block.
        discarded_runs: untimed calls at the start of a block.
        window: calls whose median is compared during warm-up.
        tolerance: relative change between two windows that counts as steady.
        max_warmup_runs: calls after which warm-up ends, steady or not; it also ends after ``budget_s``.
    """

    budget_s: float = 3.0
    min_blocks: int = 8
    max_blocks: int = 20
    min_runs: int = 3
    good_runs: int = 6
    max_runs: int = 250
    gap_s: float = 0.03
    discarded_runs: int = 2
    window: int = 5
    tolerance: float = 0.05
    max_warmup_runs: int = 100


STANDARD: Final = MeasureSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one model did.

    Attributes:
        blocks_ms: milliseconds per call, one tuple per block; block i belongs to round i.
        warmup_runs: calls before the first block.
        notes: whatever makes the times less trustworthy, in words.
    """

    blocks_ms: tuple[tuple[float, ...], ...]
    warmup_runs: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time as the measurement sees it; tests put in their own."""

    now_ns: Callable[[], int] = time.perf_counter_ns
    sleep_s: Callable[[float], None] = time.sleep


CLOCK: Final = Clock()
"""The machine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """A model after its warm-up.

    Attributes:
        runs: calls until then.
        typical_s: median of the last calls.
        steady: whether the last two windows agreed.
    """

    runs: int
    typical_s: float
    steady: bool


def measure(
    calls: Mapping[str, Call],
    settings: MeasureSettings,
    *,
    progress: Progress = lambda what, done, total: None,
    clock: Clock = CLOCK,
    halt: Halt = NEVER,
) -> dict[str, Measurement]:
    """Measure all models in interleaved blocks.

    Args:
        calls: a name and a function that runs the model once and returns when the result is there.
        settings: how long and how carefully.
        progress: called between blocks.
        clock: where time comes from.
        halt: what ends it early; the rounds that are whole then are kept.

    Returns:
        One measurement per name, all with the same number of blocks; none where it was ended before the
        second round was whole.
    """
    warm: dict[str, Warm] = {}
    samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in calls}
    with halt.guard():
        for done, (name, call) in enumerate(calls.items(), start=1):
            warm[name] = warm_up(call, settings, clock)
            progress(f"warm-up {name}", done, len(calls))
        rounds = _rounds([state.typical_s for state in warm.values()], settings)
        runs = {name: _runs_per_block(state.typical_s, rounds, settings) for name, state in warm.items()}
        for done, name in enumerate(_order(list(calls), rounds), start=1):
            samples[name].append(_block(calls[name], runs[name], settings, clock))
            progress(f"block of {name}", done, rounds * len(calls))
    whole = min(map(len, samples.values()))
    if halt.asked and whole < _KEPT_ROUNDS:
        return {}
    return {
        name: Measurement(
            blocks_ms=tuple(blocks[:whole]), warmup_runs=warm[name].runs, notes=warm_notes(warm[name])
        )
        for name, blocks in samples.items()
    }


def rounds_of(
    calls: Mapping[str, Call],
    settings: MeasureSettings,
    runs: int,
    *,
    planned: int,
    clock: Clock = CLOCK,
) -> Iterator[dict[str, tuple[float, ...]]]:
    """Warm all models up, and return their rounds one by one, without end; the order alternates.

    Args:
        calls: a name and a function that runs the model once.
        settings: how long to warm up, and what stands between blocks.
        runs: timed calls per block at least; a quick model makes more, up to ``settings.max_runs``.
        planned: rounds over which ``settings.budget_s`` is spread.
        clock: where time comes from.

    Returns:
        Milliseconds per call of each model, round by round.
    """
    warm = {name: warm_up(call, settings, clock) for name, call in calls.items()}
    count = {
        name: max(runs, _runs_per_block(state.typical_s, planned, settings)) for name, state in warm.items()
    }

    def rounds() -> Iterator[dict[str, tuple[float, ...]]]:
        for number in itertools.count():
            turn = _turn(list(calls), number)
            yield {name: _block(calls[name], count[name], settings, clock) for name in turn}

    return rounds()


def warm_up(call: Call, settings: MeasureSettings, clock: Clock = CLOCK) -> Warm:
    """Call until the median of a window is within the tolerance of the median of the window before.

    Args:
        call: runs the model once.
        settings: windows, tolerance, and when to give up.
        clock: where time comes from.
    """
    start_ns = clock.now_ns()
    before = statistics.median(_timed(call, settings.window, clock))
    for runs in itertools.count(2 * settings.window, settings.window):
        after = statistics.median(_timed(call, settings.window, clock))
        steady = abs(after - before) <= settings.tolerance * before
        spent_s = (clock.now_ns() - start_ns) / 1e9
        if steady or runs + settings.window > settings.max_warmup_runs or spent_s > settings.budget_s:
            break
        before = after
    return Warm(runs=runs, typical_s=after / 1e3, steady=steady)


def _rounds(typical_s: list[float], settings: MeasureSettings) -> int:
    """Return how many rounds fit if the slowest model makes ``good_runs`` calls per block."""
    fitting = settings.budget_s / (settings.good_runs * max(*typical_s, 1e-9))
    return max(settings.min_blocks, min(settings.max_blocks, int(fitting)))


def _runs_per_block(typical_s: float, rounds: int, settings: MeasureSettings) -> int:
    fitting = settings.budget_s / (rounds * max(typical_s, 1e-9))
    return max(settings.min_runs, min(settings.max_runs, int(fitting)))


def _order(names: list[str], rounds: int) -> Iterator[str]:
    for number in range(rounds):
        yield from _turn(names, number)


def _turn(names: list[str], number: int) -> list[str]:
    """Return the order within one round: A B, then B A."""
    return names if number % 2 == 0 else names[::-1]


def _block(call: Call, runs: int, settings: MeasureSettings, clock: Clock) -> tuple[float, ...]:
    clock.sleep_s(settings.gap_s)
    with no_garbage_collection():
        for _ in range(settings.discarded_runs):
            call()
        return _timed(call, runs, clock)


def _timed(call: Call, runs: int, clock: Clock) -> tuple[float, ...]:
    """Return milliseconds of each call."""
    now = clock.now_ns
    times = []
    for _ in range(runs):
        start = now()
        call()
        times.append((now() - start) / _NS_PER_MS)
    return tuple(times)


def warm_notes(warm: Warm) -> tuple[str, ...]:
    """Return what is to be said of a warm-up: nothing where times were steady."""
    return () if warm.steady else (f"times were not steady after {warm.runs} warm-up calls",)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Let no collection fall into the block; what is dropped by reference count is freed all the same."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
