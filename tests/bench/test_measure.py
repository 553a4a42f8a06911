import gc
import itertools
from collections.abc import Callable, Iterator

import pytest

from bench.halt import Halt
from bench.measure import Clock, MeasureSettings, measure


class Machine:
    """A machine whose time moves only when a model runs or somebody sleeps."""

    def __init__(self) -> None:
        self.ns = 0
        self.log: list[str] = []
        self.collecting: set[bool] = set()

    @property
    def clock(self) -> Clock:
        return Clock(now_ns=lambda: self.ns, sleep_s=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)
        self.log.append("gap")

    def model(self, name: str, times_ms: Iterator[float]) -> Callable[[], None]:
        def call() -> None:
            self.ns += round(next(times_ms) * 1e6)
            self.log.append(name)
            self.collecting.add(gc.isenabled())

        return call


def always(ms: float) -> Iterator[float]:
    while True:
        yield ms


def settling(first_ms: float, last_ms: float, calls: int) -> Iterator[float]:
    for i in range(calls):
        yield first_ms + (last_ms - first_ms) * i / calls
    yield from always(last_ms)


def blocks_in(log: list[str]) -> list[tuple[str, int]]:
    """Return name and length of what ran after each gap."""
    chunks = " ".join(log).split("gap")[1:]
    return [(chunk.split()[0], len(chunk.split())) for chunk in chunks]


def test_blocks_are_interleaved_and_the_order_turns_round() -> None:
    machine = Machine()
    calls = {name: machine.model(name, always(10.0)) for name in "abc"}
    measure(calls, MeasureSettings(budget_s=0.1), clock=machine.clock)
    names = "".join(name for name, _ in blocks_in(machine.log))
    assert names == "abccba" * 4


def test_samples_are_exact_and_discarded_calls_are_not_among_them() -> None:
    machine = Machine()
    calls = {"slow": machine.model("slow", always(10.0)), "fast": machine.model("fast", always(2.5))}
    found = measure(calls, MeasureSettings(budget_s=1.0), clock=machine.clock)
    assert {ms for block in found["slow"].blocks_ms for ms in block} == {10.0}
    assert {ms for block in found["fast"].blocks_ms for ms in block} == {2.5}
    timed = {name: len(entry.blocks_ms[0]) for name, entry in found.items()}
    assert set(blocks_in(machine.log)) == {("slow", timed["slow"] + 2), ("fast", timed["fast"] + 2)}


def test_blocks_fill_the_budget_of_every_model() -> None:
    machine = Machine()
    calls = {"slow": machine.model("slow", always(10.0)), "fast": machine.model("fast", always(2.0))}
    found = measure(calls, MeasureSettings(budget_s=1.0), clock=machine.clock)
    for entry in found.values():
        assert 0.9 < sum(map(sum, entry.blocks_ms)) / 1e3 <= 1.0
    assert len(found["slow"].blocks_ms) == len(found["fast"].blocks_ms) == 16


@pytest.mark.parametrize(("ms", "blocks", "runs"), [(1000.0, 8, 3), (1e-3, 20, 250)])
def test_very_slow_and_very_fast_models_stay_within_bounds(ms: float, blocks: int, runs: int) -> None:
    machine = Machine()
    found = measure({"m": machine.model("m", always(ms))}, MeasureSettings(budget_s=1.0), clock=machine.clock)
    assert (len(found["m"].blocks_ms), len(found["m"].blocks_ms[0])) == (blocks, runs)


def test_warm_up_lasts_until_times_are_steady() -> None:
    machine = Machine()
    calls = {
        "cold": machine.model("cold", settling(30.0, 5.0, 20)),
        "warm": machine.model("warm", always(5.0)),
    }
    found = measure(calls, MeasureSettings(), clock=machine.clock)
    assert found["warm"].warmup_runs == 10
    assert 25 <= found["cold"].warmup_runs <= 35
    assert {ms for block in found["cold"].blocks_ms for ms in block} == {5.0}
    assert found["cold"].notes == found["warm"].notes == ()


def test_a_model_that_never_settles_is_measured_with_a_note() -> None:
    machine = Machine()
    growing = (1.0 * 1.05**i for i in range(10_000))
    settings = MeasureSettings(budget_s=1e9, max_runs=5)
    found = measure({"m": machine.model("m", growing)}, settings, clock=machine.clock)
    assert found["m"].warmup_runs == 100
    assert found["m"].notes == ("times were not steady after 100 warm-up calls",)


def test_warm_up_of_a_slow_model_ends_with_the_budget() -> None:
    machine = Machine()
    growing = (1000.0 * 1.5**i for i in range(10_000))
    found = measure({"m": machine.model("m", growing)}, MeasureSettings(budget_s=3.0), clock=machine.clock)
    assert found["m"].warmup_runs == 10
    assert len(found["m"].notes) == 1


def test_garbage_collection_rests_during_blocks_and_comes_back() -> None:
    machine = Machine()
    settings = MeasureSettings(budget_s=0.1)
    measure({"m": machine.model("m", always(1.0))}, settings, clock=machine.clock)
    assert gc.isenabled()
    assert machine.collecting == {True, False}
    gc.disable()
    try:
        measure({"m": machine.model("m", always(1.0))}, settings, clock=machine.clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_garbage_collection_comes_back_where_a_model_fails() -> None:
    machine = Machine()
    times = iter([1.0] * 15)
    with pytest.raises(StopIteration):
        measure({"m": machine.model("m", times)}, MeasureSettings(), clock=machine.clock)
    assert gc.isenabled()


def test_progress_is_told_between_blocks() -> None:
    machine = Machine()
    told: list[tuple[str, int, int]] = []
    calls = {name: machine.model(name, always(100.0)) for name in "ab"}
    measure(
        calls,
        MeasureSettings(budget_s=0.1),
        progress=lambda what, done, total: told.append((what, done, total)),
        clock=machine.clock,
    )
    assert told[:3] == [("warm-up a", 1, 2), ("warm-up b", 2, 2), ("block of a", 1, 16)]
    assert told[-1] == ("block of a", 16, 16)


def test_the_real_clock_measures_real_calls() -> None:
    found = measure({"m": lambda: sum(range(200))}, MeasureSettings(budget_s=0.02, gap_s=0.0))
    assert all(ms > 0 for block in found["m"].blocks_ms for ms in block)


def interrupted(machine: Machine, name: str, ms: float, calls: int) -> Callable[[], None]:
    """Return a model at whose call number ``calls`` somebody presses Ctrl-C."""
    model, left = machine.model(name, always(ms)), itertools.count(calls, -1)

    def call() -> None:
        if next(left) == 0:
            raise KeyboardInterrupt
        model()

    return call


def test_whole_rounds_before_an_interruption_are_kept() -> None:
    """A and B warm up in 10 calls each, and a block is 2 discarded calls and some timed ones."""
    machine = Machine()
    undisturbed = {name: machine.model(name, always(10.0)) for name in "ab"}
    settings = MeasureSettings(budget_s=1.0)
    found = measure(undisturbed, settings, clock=machine.clock)
    block, warmup = 2 + len(found["a"].blocks_ms[0]), found["b"].warmup_runs
    for rounds, kept in ((1.5, 0), (2.5, 2), (6.2, 6)):
        machine, halt = Machine(), Halt(by=(KeyboardInterrupt,))
        calls = {
            "a": machine.model("a", always(10.0)),
            "b": interrupted(machine, "b", 10.0, warmup + int(rounds * block)),
        }
        found = measure(calls, settings, clock=machine.clock, halt=halt)
        assert halt.asked
        assert [len(entry.blocks_ms) for entry in found.values()] == ([kept, kept] if kept else [])


def test_an_interruption_while_warming_up_leaves_nothing() -> None:
    machine, halt = Machine(), Halt(by=(KeyboardInterrupt,))
    calls = {"a": machine.model("a", always(10.0)), "b": interrupted(machine, "b", 10.0, 3)}
    assert measure(calls, MeasureSettings(), clock=machine.clock, halt=halt) == {}
    assert halt.asked


def test_who_does_not_ask_for_it_gets_the_interruption_itself() -> None:
    machine = Machine()
    with pytest.raises(KeyboardInterrupt):
        measure({"a": interrupted(machine, "a", 10.0, 30)}, MeasureSettings(), clock=machine.clock)
    assert gc.isenabled()
