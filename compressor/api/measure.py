"""Measuring, from Python."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from bench.candidates import Candidate, candidate, file_candidate
from bench.comparison import BenchReport
from bench.measure import MeasureSettings
from bench.run import bench as measure_models
from compressor.artifact import Artifact
from compressor.artifact.live import Source, as_artifact
from compressor.base.errors import UsageError
from compressor.base.files import scratch
from export.backends import BACKENDS, Backend, SessionOptions, file_suffixes

_LOG = logging.getLogger(__name__)


def bench(
    models: Sequence[Source] | Mapping[str, Source],
    *,
    backend: str = "onnxruntime",
    batches: Sequence[int] = (1, 8),
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = 5.0,
    seed: int = 0,
) -> BenchReport:
    """Measure models interleaved against the first one; ``print`` of the report is a table.

    Args:
        models: in a list, or under names of one's own; strings may name exported files.
        backend: runtime; artifacts are exported on the way where it opens files.
        batches: samples per call, each measured on its own.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the runtime on the CPU; None leaves the choice to it.
        seconds: to measure, per model and batch size.
        seed: of the inputs.

    Raises:
        UsageError: the models take different inputs, or are nothing that the backend opens.
        BackendMissingError: the device is not usable.
    """
    opener = BACKENDS.get(backend)
    named = models if isinstance(models, Mapping) else {_name(model): model for model in models}
    if len(named) < len(models):
        raise UsageError("two models have the same name", 'give names: {"before": ..., "after": ...}.')
    with scratch() as folder:
        candidates = [_candidate(name, named[name], opener, folder, threads) for name in named]
        return measure_models(
            candidates, backend=backend, options=SessionOptions(device=device, threads=threads),
            batches=batches, settings=MeasureSettings(budget_s=seconds), seed=seed,
        )  # fmt: skip


def _candidate(name: str, model: Source, opener: Backend, folder: Path, threads: int | None) -> Candidate:
    if isinstance(model, str | Path) and Path(model).suffix in file_suffixes():
        return replace(file_candidate(Path(model), opener), name=name)
    return candidate(name, as_artifact(model), opener, folder, threads=threads, say=_LOG.info)


def _name(model: Source) -> str:
    """Return what a model is called that was given no name."""
    if isinstance(model, Artifact):
        return f"{model.manifest.arch}, {model.manifest.method}"
    return type(model).__name__ if isinstance(model, nn.Module) else str(model)
