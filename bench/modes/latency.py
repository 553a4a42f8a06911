"""``latency``: one call after the other, of given batch sizes, all models interleaved."""

from typing import Final

from bench.interleaved import interleaved
from bench.job import Findings, Job
from bench.modes import MODES
from bench.opening import Run
from bench.statistics import percentiles, significant
from compressor.base.errors import UsageError
from compressor.base.text import foreign

_USUAL: Final = (1, 8)


class Latency:
    """Time of a call."""

    scenario = "SingleStream"

    def batches(self, job: Job) -> tuple[int, ...]:
        """Return what was asked for, 1 and 8 where nothing was."""
        if job.load.asked:
            raise UsageError(f"{job.load.asked[0]} is for a server", "give --mode server, or leave it out.")
        return _USUAL if job.batches is None else job.batches

    def measure(self, run: Run, found: Findings) -> None:
        """Measure every batch size."""
        for batch in self.batches(run.job):
            results = interleaved(run, batch)
            found.results += results
            if run.job.halt.asked:
                break
            times = (
                f"{foreign(r.model)} {significant(percentiles(r.samples_ms).p50_ms)} ms" for r in results
            )
            run.job.say(f"batch {batch}: {', '.join(times)}")


MODES.register("latency")(Latency())
