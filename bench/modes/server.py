"""``server``: queries that come at random; latency at a given rate, and the highest rate within a limit."""

from collections.abc import Iterator
from typing import Final

from bench.job import Findings, Load
from bench.measure import Warm, no_garbage_collection, warm_notes, warm_up
from bench.modes import MODES
from bench.opening import Ready, Run, opened_together
from bench.queries import needed
from bench.results import Probe, Search, Served, ServerSettings
from bench.serving import Stream, answered, bisected, probed
from compressor.base.errors import UsageError
from compressor.base.pace import Pace

_QUERIES: Final = 1000


class Server:
    """Latency under load, waiting included; one model at a time."""

    scenario = "Server"

    def batches(self, asked: tuple[int, ...] | None, load: Load) -> tuple[int, ...]:
        """Return what was asked for, one sample a query where nothing was."""
        if load.rate_per_s is None and load.p99_ms is None:
            raise UsageError("a server needs queries", "give --rate-per-s 50, or --p99-ms 20 to look for it.")
        missing = needed() - queries_of(load)
        if missing > 0:
            raise UsageError(
                f"p99 of {queries_of(load)} queries says nothing: {missing} are missing",
                f"give --queries {needed()} or more, or leave it out.",
            )
        return (1,) if asked is None else asked

    def measure(self, run: Run, found: Findings) -> None:
        """Measure model after model, each alone."""
        for batch in self.batches(run.job.batches, run.job.load):
            for model in run.job.models:
                with opened_together(run, [model], batch) as (ready,):
                    _Serving(run, ready, batch, found).measure()
                if run.job.halt.asked:
                    return


def queries_of(load: Load) -> int:
    """Return how many queries a stream has."""
    return _QUERIES if load.queries is None else load.queries


class _Serving:
    """One open model behind its queue."""

    def __init__(self, run: Run, ready: Ready, batch: int, found: Findings) -> None:
        self._run = run
        self._ready = ready
        self._batch = batch
        self._found = found

    def measure(self) -> None:
        """Measure the given rate, then look for the highest one."""
        load = self._run.job.load
        warm = warm_up(self._ready.call, self._run.job.settings)
        if load.rate_per_s is not None:
            self._at(load.rate_per_s, warm)
        if load.p99_ms is not None and not self._run.job.halt.asked:
            self._search(load.p99_ms, warm)

    def _at(self, rate_per_s: float, warm: Warm) -> None:
        latencies_ms: list[float] = []
        self._tell(f"{rate_per_s:g} queries/s", 0)
        with self._run.job.halt.guard(), no_garbage_collection():
            latencies_ms.extend(self._answered(self._stream(rate_per_s)))
        if len(latencies_ms) >= needed():
            self._keep(rate_per_s, warm, tuple(latencies_ms))

    def _search(self, limit_ms: float, warm: Warm) -> None:
        probes: list[Probe] = []
        best: dict[float, tuple[float, ...]] = {}

        def good(rate_per_s: float) -> bool:
            self._tell(f"trying {rate_per_s:.3g} queries/s", len(probes))
            stream = self._stream(rate_per_s)
            probe, latencies_ms = probed(self._answered(stream), stream, limit_ms)
            probes.append(probe)
            if probe.met:
                best[rate_per_s] = latencies_ms
            return probe.met

        with self._run.job.halt.guard():
            if 1e3 * warm.typical_s <= limit_ms:
                bisected(good, 1 / warm.typical_s)
        if best or not self._run.job.halt.asked:
            self._found.searches.append(self._searched(limit_ms, warm, probes))
        if best:
            self._keep(max(best), warm, best[max(best)])

    def _searched(self, limit_ms: float, warm: Warm, probes: list[Probe]) -> Search:
        return Search(
            model=self._ready.model.name, backend=self._run.backend.name, batch=self._batch,
            limit_ms=limit_ms, call_ms=1e3 * warm.typical_s, probes=tuple(probes),
        )  # fmt: skip

    def _keep(self, rate_per_s: float, warm: Warm, latencies_ms: tuple[float, ...]) -> None:
        settings = ServerSettings(
            **self._ready.settings(self._run, self._batch), rate_per_s=rate_per_s, warmup_runs=warm.runs
        )
        self._found.served.append(
            Served(
                model=self._ready.model.name, digest=self._ready.model.digest, settings=settings,
                samples_ms=latencies_ms, notes=(*warm_notes(warm), *_overload_note(rate_per_s, warm)),
            )
        )  # fmt: skip

    def _stream(self, rate_per_s: float) -> Stream:
        job = self._run.job
        return Stream(rate_per_s=rate_per_s, queries=queries_of(job.load), seed=job.seed)

    def _answered(self, stream: Stream) -> Iterator[float]:
        """Answer a stream, and give a sign of life now and then."""
        pace = Pace()
        for done, latency_ms in enumerate(answered(self._ready.call, stream), start=1):
            yield latency_ms
            if pace.due():
                self._run.job.say(f"{self._ready.model.name}: {done} of {stream.queries} queries")

    def _tell(self, words: str, done: int) -> None:
        self._run.job.say(f"{self._ready.model.name}: {words}")
        self._run.job.progress(words, done, done + 1)


def _overload_note(rate_per_s: float, warm: Warm) -> tuple[str, ...]:
    if rate_per_s * warm.typical_s < 1:
        return ()
    return ("more queries come than one worker can answer: times grow for as long as it is measured",)


MODES.register("server")(Server())
