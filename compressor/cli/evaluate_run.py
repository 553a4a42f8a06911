"""Scoring, on PyTorch or through any backend."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compressor.cli.sources import open_device, open_model, parse_shapes
from compressor.data import DataSplits, open_data
from compressor.errors import UsageError
from compressor.scores import Accuracy
from compressor.training import evaluate
from compressor.types import InputSpec
from export.backends import BACKENDS, Session, SessionOptions, require_device
from export.metadata import read_input


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
    batch: int
    device: str
    threads: int | None


class _Remote(nn.Module):
    """A session behind the face of a module, so that one evaluator serves all runtimes."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, x: Tensor) -> Tensor:
        feed = {self._session.input_names[0]: x.cpu().numpy()}
        first = self._session.run(feed)[self._session.output_names[0]]
        return torch.from_numpy(np.asarray(first, dtype=np.float32))


def accuracy(request: Request) -> tuple[Accuracy, DataSplits]:
    """Return the accuracy on one split, and the data it was measured on.

    Raises:
        UsageError: model and backend do not fit together, or the data does not fit the model.
    """
    name = request.backend or ("onnxruntime" if request.model.endswith(".onnx") else "torch")
    if request.model.endswith(".onnx"):
        return _through_session(request, name)
    if name != "torch":
        raise UsageError(f"backend {name} does not run {request.model}", "export it first: compress export.")
    source = open_model(request.model, request.weights, request.classes, request.shape)
    splits = open_data(request.data, source.arch.input)
    images = getattr(splits, request.split)
    device = open_device(request.device)
    return evaluate(source.model, images, batch_size=request.batch, device=device), splits


def _through_session(request: Request, name: str) -> tuple[Accuracy, DataSplits]:
    path = Path(request.model)
    backend = BACKENDS.get(name)
    require_device(backend, request.device)
    with backend.open(path, SessionOptions(device=request.device, threads=request.threads)) as session:
        splits = open_data(request.data, _input(path, request.shape))
        images = getattr(splits, request.split)
        return evaluate(_Remote(session), images, batch_size=request.batch), splits


def _input(path: Path, shape: str | None) -> InputSpec:
    return InputSpec(shapes=parse_shapes(shape)) if shape else read_input(path)
