"""One batch size of all models, interleaved: what the modes that time calls are made of."""

from bench.measure import Measurement, measure
from bench.opening import Ready, Run, opened_together
from bench.results import BenchResult, BenchSettings
from bench.statistics import MIN_ROUNDS


def interleaved(run: Run, batch: int) -> list[BenchResult]:
    """Measure all models of a job at one batch size; nothing comes back where it was ended too early.

    Raises:
        UsageError: a bad file.
        BackendMissingError: the device is not usable.
    """
    job = run.job
    with opened_together(run, job.models, batch) as ready:
        calls = {one.model.name: one.call for one in ready}
        measured = measure(calls, job.settings, progress=job.progress, halt=job.halt)
    return [_result(run, one, batch, measured[one.model.name]) for one in ready if measured]


def _result(run: Run, ready: Ready, batch: int, measurement: Measurement) -> BenchResult:
    settings = BenchSettings(
        **ready.settings(run, batch),
        blocks=len(measurement.blocks_ms),
        runs_per_block=len(measurement.blocks_ms[0]),
        warmup_runs=measurement.warmup_runs,
        discarded_runs=run.job.settings.discarded_runs,
        gap_ms=run.job.settings.gap_s * 1e3,
        budget_s=run.job.settings.budget_s,
    )
    return BenchResult(
        model=ready.model.name,
        digest=ready.model.digest,
        settings=settings,
        samples_ms=measurement.blocks_ms,
        environment=run.environment,
        notes=(*measurement.notes, *_tail_note(measurement), *_few_note(measurement)),
    )


def _tail_note(measurement: Measurement) -> tuple[str, ...]:
    calls = sum(len(block) for block in measurement.blocks_ms)
    return () if calls >= 100 else ("p99 rests on fewer than 100 calls",)


def _few_note(measurement: Measurement) -> tuple[str, ...]:
    rounds = len(measurement.blocks_ms)
    return () if rounds >= MIN_ROUNDS else (f"{rounds} rounds are too few for a speed-up",)
