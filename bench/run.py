"""Benchmark several models on one runtime: check what is asked for, measure it in a mode, report."""

import math
from collections.abc import Mapping, Sequence

from bench.candidates import Candidate, require_same_inputs
from bench.comparison import BenchReport, compare_with_first
from bench.conditions import warnings_of
from bench.environment import environment
from bench.feeds import Feeds, feeds_for
from bench.job import Findings, Job
from bench.measure import STANDARD, MeasureSettings, Progress
from bench.modes import MODES
from bench.opening import Run
from bench.readings import conditions_since, readings
from compressor.base.bounds import require_memory
from compressor.base.errors import UsageError
from export.backends import BACKENDS, SessionOptions, require_device

SYNTHETIC_NOTE = "inputs are synthetic (seeded random noise); data-dependent models need real images: --data"


def bench(
    models: Sequence[Candidate],
    *,
    backend: str,
    options: SessionOptions,
    batches: Sequence[int] = (1, 8),
    settings: MeasureSettings = STANDARD,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> BenchReport:
    """Measure the latency of models against the first one, on noise.

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
    job = Job(
        models=tuple(models), backend=backend, options=options, batches=tuple(batches), settings=settings,
        seed=seed, progress=progress,
    )  # fmt: skip
    return carry_out(job)


def carry_out(job: Job, mode: str = "latency") -> BenchReport:
    """Measure what a job asks for, in a mode of `bench.modes.MODES`; what ``job.halt`` ends early is partial.

    Raises:
        UsageError: what `bench` refuses, an unknown mode, or what the mode does not do.
        BackendMissingError: the device is not usable.
    """
    way = MODES.get(mode)
    _check_request(job.models, way.batches(job.batches, job.load), job.settings.budget_s)
    chosen = BACKENDS.get(job.backend)
    require_device(chosen, job.options.device)
    machine, before, found = environment(), readings(), Findings()
    feeds = Feeds(seed=job.seed, images={})
    with job.halt.guard():
        feeds = feeds_for(job.models, job.data, job.options, job.seed)
        way.measure(Run(job=job, backend=chosen, feeds=feeds, environment=machine), found)
    conditions = conditions_since(before)
    return BenchReport(
        results=tuple(found.results),
        comparisons=compare_with_first(found.results, seed=job.seed),
        environment=machine,
        notes=(*_input_note(feeds), *_load_note(machine), *warnings_of(conditions), *found.notes),
        mode=mode,
        scenario=way.scenario,
        partial=job.halt.asked,
        fed=feeds.fed,
        conditions=conditions,
        served=tuple(found.served),
        searches=tuple(found.searches),
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
    require_same_inputs(models)
    for model in models:
        if model.inputs.max_batch is not None and batch > model.inputs.max_batch:
            raise UsageError(
                f"{model.name} takes at most {model.inputs.max_batch} images a call",
                f"give --batch {model.inputs.max_batch}",
            )


def _input_note(feeds: Feeds) -> tuple[str, ...]:
    if feeds.fed is None:
        return (SYNTHETIC_NOTE,)
    return (feeds.fed.describe(),)


def _load_note(machine: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note where other work kept at least half of a core busy before the first call."""
    load = float(machine.get("load_average_1min", "0"))
    if load < 0.5:
        return ()
    return (f"other work ran on this machine: load average {load:.1f} before measuring",)
