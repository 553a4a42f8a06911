"""Scoring, on PyTorch or through any backend."""

from dataclasses import dataclass
from pathlib import Path

from compressor.cli.sources import open_device, open_model, parse_shapes
from compressor.data import DataSplits
from compressor.errors import UsageError
from compressor.scores import Score
from compressor.training import TASKS
from compressor.types import InputSpec
from export.backends import BACKENDS, SessionOptions, require_device
from export.metadata import TASK, read_input, read_metadata

_RUNTIMES = {".onnx": "onnxruntime", ".engine": "tensorrt"}
"""Which backend opens a file, where none is asked for."""


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


def accuracy(request: Request) -> tuple[Score, DataSplits]:
    """Return the score on one split, and the data it was measured on.

    Raises:
        UsageError: model and backend do not fit together, or the data does not fit the model.
    """
    path = Path(request.model)
    name = request.backend or _RUNTIMES.get(path.suffix, "torch")
    if path.suffix in _RUNTIMES:
        return _through_session(request, name)
    if name != "torch":
        raise UsageError(f"backend {name} does not run {request.model}", "export it first: compress export.")
    source = open_model(request.model, request.weights, request.classes, request.shape)
    task = TASKS.get(source.arch.task)
    splits = task.open(request.data, source.arch.input, source.model)
    device = open_device(request.device)
    images = getattr(splits, request.split)
    return task.score(source.model, images, batch_size=request.batch, device=device), splits


def _through_session(request: Request, name: str) -> tuple[Score, DataSplits]:
    path = Path(request.model)
    backend = BACKENDS.get(name)
    require_device(backend, request.device)
    properties = read_metadata(path) if path.suffix == ".onnx" else {}
    task = TASKS.get(properties.get(TASK, "classification"))
    with backend.open(path, SessionOptions(device=request.device, threads=request.threads)) as session:
        inputs = _input(path, request.shape)
        model = task.remote(session.run, session.input_names, inputs, properties)
        splits = task.open(request.data, inputs, model)
        return task.score(model, getattr(splits, request.split), batch_size=request.batch), splits


def _input(path: Path, shape: str | None) -> InputSpec:
    return InputSpec(shapes=parse_shapes(shape)) if shape else read_input(path)
