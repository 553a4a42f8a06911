"""Scoring, on PyTorch or through any backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from compressor.base.devices import open_device
from compressor.base.errors import UsageError
from compressor.cli import output
from compressor.cli.sources import open_model, parse_shapes, trust_in
from compressor.data import DataSplits, ImageSet
from compressor.tasks.scores import Score
from compressor.tasks.task import Task
from compressor.training import init_from_env
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions, file_suffixes, require_device, usual_backends
from export.metadata import read_exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress eval``, as typed."""

    model: str
    weights: Path | None
    classes: int | None
    shape: str | None
    data: str
    split: str
    backend: str | None
    batch: int | None
    device: str
    threads: int | None
    trust_code: bool


def accuracy(request: Request) -> tuple[Score, DataSplits]:
    """Return the score on one split, and the data it was measured on; under torchrun, workers share it.

    Raises:
        UsageError: model and backend do not fit together, or the data does not fit the model.
    """
    suffix = Path(request.model).suffix
    usual = usual_backends()
    through_file = suffix in file_suffixes()
    name = request.backend or usual[suffix if through_file else ""]
    with init_from_env(torch.device("cpu") if through_file else open_device(request.device)) as device:
        if through_file:
            return _through_session(request, name)
        return _through_torch(request, name, device)


def _through_torch(request: Request, name: str, device: torch.device) -> tuple[Score, DataSplits]:
    if name != "torch":
        raise UsageError(f"backend {name} does not run {request.model}", "export it first: compress export.")
    trust = trust_in([request.model], everything=request.trust_code)
    source = open_model(request.model, request.weights, request.classes, request.shape, trust=trust)
    task = source.task
    splits = task.data.open(request.data, source.arch.input, source.module)
    images = splits.images(request.split)
    return task.scoring.score(source.module, images, batch_size=request.batch, device=device), splits


def _through_session(request: Request, name: str) -> tuple[Score, DataSplits]:
    path = Path(request.model)
    options = SessionOptions(device=request.device, threads=request.threads)
    with _opened(path, name, options, request.shape) as (task, model, inputs):
        splits = task.data.open(request.data, inputs, model)
        score = task.scoring.score(model, splits.images(request.split), batch_size=request.batch)
        say_remarks(request.model, task, model)
        return score, splits


def say_remarks(label: str, task: Task, model: nn.Module) -> None:
    """Tell people what they must know of what a model computed so far."""
    for remark in task.serving.remarks(model):
        output.say(f"{label}: {remark}")


def accuracy_of_file(path: Path, images: ImageSet, backend: str, options: SessionOptions) -> Score:
    """Return the score of an exported file on a split of data that is open already."""
    with _opened(path, backend, options, None) as (task, model, _):
        return task.scoring.score(model, images)


@contextmanager
def _opened(
    path: Path, name: str, options: SessionOptions, shape: str | None
) -> Iterator[tuple[Task, nn.Module, InputSpec]]:
    """Yield the task of an exported file, the file behind the face of a module, and what it takes."""
    backend = BACKENDS.get(name)
    require_device(backend, options.device)
    file = read_exported(path)
    task = file.task
    inputs = file.input(parse_shapes(shape) if shape else None)
    with backend.open(path, options) as session:
        yield task, task.serving.remote(session.run, session.input_names, inputs, file.properties), inputs
