"""Scoring, on PyTorch or through any backend."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from compressor.base.devices import open_device
from compressor.base.errors import UsageError
from compressor.cli import output
from compressor.cli.sources import open_model, parse_shapes, trust_in
from compressor.data import DataSplits
from compressor.tasks.scores import Score
from compressor.tasks.task import Task
from compressor.training import init_from_env
from export.backends import SessionOptions, file_suffixes, usual_backends
from export.scored import opened


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
    options = SessionOptions(device=request.device, threads=request.threads)
    shapes = parse_shapes(request.shape) if request.shape else None
    with opened(Path(request.model), options, name, shapes) as file:
        splits = file.task.data.open(request.data, file.inputs, file.model)
        images = splits.images(request.split)
        score = file.task.scoring.score(file.model, images, batch_size=request.batch)
        say_remarks(request.model, file.task, file.model)
        return score, splits


def say_remarks(label: str, task: Task, model: nn.Module) -> None:
    """Tell people what they must know of what a model computed so far."""
    for remark in task.serving.remarks(model):
        output.say(f"{label}: {remark}")
