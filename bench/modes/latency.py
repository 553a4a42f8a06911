"""``latency``: one call after the other, of given batch sizes, all models interleaved."""

from typing import Final

from bench.interleaved import interleaved
from bench.job import Findings, Load
from bench.modes import MODES
from bench.opening import Run
from bench.statistics import percentiles, significant
from compressor.base.text import foreign

_USUAL: Final = (1, 8)


class Latency:
    """Time of a call."""

    scenario = "SingleStream"

    def batches(self, asked: tuple[int, ...] | None, load: Load) -> tuple[int, ...]:
        """Return what was asked for, 1 and 8 where nothing was."""
        load.refuse()
        return _USUAL if asked is None else asked

    def measure(self, run: Run, found: Findings) -> None:
        """Measure every batch size."""
        for batch in self.batches(run.job.batches, run.job.load):
            results = interleaved(run, batch)
            found.results += results
            if run.job.halt.asked:
                break
            times = (
                f"{foreign(r.model)} {significant(percentiles(r.samples_ms).p50_ms)} ms" for r in results
            )
            run.job.say(f"batch {batch}: {', '.join(times)}")


MODES.register("latency")(Latency())
