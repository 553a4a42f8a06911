"""Benchmark several models on one runtime: per batch size, all sessions are open at once and interleaved."""

import contextlib
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.candidates import Candidate
from bench.comparison import BenchReport, compare_with_first
from bench.environment import environment
from bench.measure import Call, Measurement, MeasureSettings, Progress, measure
from bench.results import BenchResult, BenchSettings
from compressor.base.bounds import require_memory
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Backend, Session, SessionOptions, require_device

SYNTHETIC_NOTE = "inputs are synthetic (seeded random noise); data-dependent models need real images"


_STANDARD = MeasureSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What stays the same over all batch sizes."""

    models: tuple[Candidate, ...]
    backend: Backend
    options: SessionOptions
    settings: MeasureSettings
    seed: int
    environment: dict[str, str]
    progress: Progress


def bench(
    models: Sequence[Candidate],
    *,
    backend: str,
    options: SessionOptions,
    batches: Sequence[int] = (1, 8),
    settings: MeasureSettings = _STANDARD,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> BenchReport:
    """Measure models against the first one.

    A call is timed from arrays in host memory to arrays in host memory, on every backend alike.

    Args:
        models: the baseline first; names are unique.
        backend: name in `export.backends.BACKENDS`.
        options: device and threads.
        batches: samples per call, each measured on its own.
        settings: how long and how carefully, per model and batch size.
        seed: of the inputs and of the bootstrap.
        progress: called between blocks.

    Raises:
        UsageError: no model, names that repeat, other inputs than the first one's, a bad batch size, an
            unknown backend, or a bad file.
        BackendMissingError: the device is not usable.
    """
    _check_request(models, batches, settings.budget_s)
    chosen = BACKENDS.get(backend)
    require_device(chosen, options.device)
    run = _Run(
        models=tuple(models),
        backend=chosen,
        options=options,
        settings=settings,
        seed=seed,
        environment=environment(),
        progress=progress,
    )
    results = [result for batch in batches for result in _bench_batch(run, batch)]
    notes = (SYNTHETIC_NOTE, *_load_note(run.environment))
    return BenchReport(
        results=tuple(results),
        comparisons=compare_with_first(results, seed=seed),
        environment=run.environment,
        notes=notes,
    )


def _check_request(models: Sequence[Candidate], batches: Sequence[int], budget_s: float) -> None:
    names = [model.name for model in models]
    if not names:
        raise UsageError("there is no model to measure", "name at least one file")
    if len(set(names)) < len(names):
        raise UsageError(
            f"two models have the same name in {', '.join(names)}", "give every model its own name"
        )
    if not batches or min(batches) < 1 or len(set(batches)) < len(batches):
        raise UsageError(f"cannot measure batch sizes {list(batches)}", "give different numbers from 1")
    _check_inputs(models, max(batches))
    elements = sum(math.prod(shape) for shape in models[0].inputs.shapes)
    require_memory(
        8 * max(batches) * elements,
        f"a batch of {max(batches)}",
        "give smaller numbers to --batch or --input",
    )
    if not 0 < budget_s < float("inf"):
        raise UsageError(f"time budget is {budget_s} s", "give a positive number of seconds")


def _check_inputs(models: Sequence[Candidate], batch: int) -> None:
    for model in models[1:]:
        if model.inputs.shapes != models[0].inputs.shapes:
            raise UsageError(
                f"{foreign(model.name)} takes {_in_words(model.inputs)}, but {foreign(models[0].name)} takes "
                f"{_in_words(models[0].inputs)}: their times say nothing of each other",
                "export both for one size, or give --input for models that can follow it",
            )
    for model in models:
        if model.inputs.max_batch is not None and batch > model.inputs.max_batch:
            raise UsageError(
                f"{model.name} takes at most {model.inputs.max_batch} images a call",
                f"give --batch {model.inputs.max_batch}",
            )


def _in_words(inputs: InputSpec) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in inputs.shapes)


def _bench_batch(run: _Run, batch: int) -> list[BenchResult]:
    with contextlib.ExitStack() as stack:
        calls: dict[str, Call] = {}
        for model in run.models:
            session = stack.enter_context(model.opened(run.backend, run.options))
            calls[model.name] = _call(session, model, batch, run.seed)
        measured = measure(calls, run.settings, progress=run.progress)
    return [_result(run, model, batch, measured) for model in run.models]


def _call(session: Session, model: Candidate, batch: int, seed: int) -> Call:
    arrays = example_arrays(model.inputs, batch, seed=(seed, batch))
    if len(arrays) != len(session.input_names):
        raise UsageError(
            f"{model.name} takes {', '.join(session.input_names)}, but {len(arrays)} shapes are known",
            "give one shape per input",
        )
    return functools.partial(session.run, dict(zip(session.input_names, arrays, strict=True)))


def _result(run: _Run, model: Candidate, batch: int, measured: Mapping[str, Measurement]) -> BenchResult:
    measurement = measured[model.name]
    settings = BenchSettings(
        backend=run.backend.name,
        device=run.options.device,
        precision=model.precision,
        threads=run.options.threads,
        batch=batch,
        blocks=len(measurement.blocks_ms),
        runs_per_block=len(measurement.blocks_ms[0]),
        warmup_runs=measurement.warmup_runs,
        discarded_runs=run.settings.discarded_runs,
        gap_ms=run.settings.gap_s * 1e3,
        budget_s=run.settings.budget_s,
        seed=run.seed,
        shapes=model.inputs.shapes,
    )
    return BenchResult(
        model=model.name,
        digest=model.digest,
        settings=settings,
        samples_ms=measurement.blocks_ms,
        environment=run.environment,
        notes=(*measurement.notes, *_tail_note(measurement)),
    )


def _tail_note(measurement: Measurement) -> tuple[str, ...]:
    calls = sum(len(block) for block in measurement.blocks_ms)
    return () if calls >= 100 else ("p99 rests on fewer than 100 calls",)


def _load_note(machine: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note where other work kept at least half of a core busy before the first call."""
    load = float(machine.get("load_average_1min", "0"))
    if load < 0.5:
        return ()
    return (f"other work ran on this machine: load average {load:.1f} before measuring",)
