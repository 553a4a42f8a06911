"""``throughput``: batch sizes 1, 2, 4 ... until no model gains 3 % more samples a second, or memory ends."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from bench.interleaved import interleaved
from bench.job import Findings, Load
from bench.memory import free_bytes, ran_out
from bench.modes import MODES
from bench.opening import Run
from bench.readings import peak_memory_bytes
from bench.results import BenchResult
from bench.statistics import significant, throughput_per_s
from compressor.base.text import foreign

GAIN: Final = 0.03
"""A batch that gives less than this over the one before is not worth its latency."""


class Throughput:
    """Samples a second where all of them are there from the beginning."""

    scenario = "Offline"

    def batches(self, asked: tuple[int, ...] | None, load: Load) -> tuple[int, ...]:
        """Return what was asked for, in increasing order; 1, the start of the sweep, where nothing was."""
        load.refuse()
        return (1,) if asked is None else tuple(sorted(asked))

    def measure(self, run: Run, found: Findings) -> None:
        """Measure batch after batch; every model takes part until the last one has stopped gaining."""
        asked = run.job.batches
        sweep = _Sweep(run, found)
        for batch in _doubled() if asked is None else self.batches(asked, run.job.load):
            if not sweep.goes_on(batch):
                break
            sweep.measure(batch)


class _Sweep:
    """The batches measured so far."""

    def __init__(self, run: Run, found: Findings) -> None:
        self._run = run
        self._found = found
        self._rates: dict[str, float] = {}
        self._gaining = {model.name for model in run.job.models}
        self._grown_bytes = 0
        self._last = 0

    def goes_on(self, batch: int) -> bool:
        """Say whether a batch is worth measuring and fits; why not is noted."""
        limits = [m.inputs.max_batch for m in self._run.job.models if m.inputs.max_batch is not None]
        if self._run.job.halt.asked or not self._gaining:
            return False
        if limits and batch > min(limits):
            self._found.notes.append(f"the sweep ends at {min(limits)} images a call: a model takes no more")
            return False
        # from one batch to the next memory grows by as much as it did in all before, and headroom is kept
        if self._last and 2 * self._grown_bytes * batch / self._last > free_bytes():
            self._found.notes.append(f"the sweep ends before batch {batch}: there may be too little memory")
            return False
        return True

    def measure(self, batch: int) -> None:
        """Measure a batch; memory that ends in the middle of it ends the sweep."""
        before = peak_memory_bytes() or 0
        try:
            results = interleaved(self._run, batch)
        except Exception as error:
            if not (self._rates and ran_out(error)):
                raise
            self._found.notes.append(f"the sweep ends before batch {batch}: memory ran out")
            self._gaining.clear()
            return
        self._grown_bytes, self._last = (peak_memory_bytes() or 0) - before, batch
        self._found.results += results
        self._compare(results)
        if results and not self._run.job.halt.asked:
            self._run.job.say(f"batch {batch}: {', '.join(_spoken(results))}")

    def _compare(self, results: Iterable[BenchResult]) -> None:
        for result in results:
            rate = throughput_per_s(result.samples_ms, result.settings.batch)
            if rate < (1 + GAIN) * self._rates.get(result.model, 0.0):
                self._gaining.discard(result.model)
            self._rates[result.model] = rate


def _doubled() -> Iterator[int]:
    return (2**power for power in itertools.count())


def _spoken(results: Iterable[BenchResult]) -> Iterator[str]:
    for result in results:
        rate = throughput_per_s(result.samples_ms, result.settings.batch)
        yield f"{foreign(result.model)} {significant(rate)} samples/s"


MODES.register("throughput")(Throughput())
