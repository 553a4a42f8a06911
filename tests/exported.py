"""Graphs that tests share: what the exporter makes of equal modules, inputs and options is made once.

Tracing is nearly all that an export takes, tens of seconds for a detector, and many tests and commands begin
with the same one. ``torch.onnx.export`` is a function of what it is given, so its answers are kept in a
folder, named by the digest of all of that: weights, settings, inputs. Whatever cannot be pickled, or is
traced by the older exporter, is exported as ever; so is everything where ``FOLDER`` is not set.
"""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import onnx_ir
import torch

FOLDER = "COMPRESS_TESTS_EXPORTED"
"""Variable that names the folder; commands that tests start inherit it."""

Exporter = Callable[..., Any]


def share() -> None:
    """Answer ``torch.onnx.export`` from the folder that ``FOLDER`` names, where there is one."""
    if FOLDER in os.environ and not isinstance(torch.onnx.export, Kept):
        torch.onnx.export = Kept(torch.onnx.export, Path(os.environ[FOLDER]))


class Kept:
    """An exporter that remembers, across processes."""

    def __init__(self, exporter: Exporter, folder: Path) -> None:
        self.exporter, self.folder = exporter, folder

    def __call__(self, model: Any, example: Any, *rest: Any, **options: Any) -> Any:
        key = _key(model, example, options) if not rest and options.get("dynamo") else None
        if key is None:
            return self.exporter(model, example, *rest, **options)
        file = self.folder / f"{key}.onnx"
        if not file.exists():
            self._make(file, model, example, options)
        return SimpleNamespace(model=onnx_ir.from_proto(onnx.load(file)))

    def _make(self, file: Path, model: Any, example: Any, options: dict[str, Any]) -> None:
        made = onnx_ir.to_proto(self.exporter(model, example, **options).model)
        begun = file.with_suffix(f".{os.getpid()}")
        onnx.save(made, begun)
        begun.replace(file)  # another process sees all of it or nothing


def _key(model: Any, example: Any, options: dict[str, Any]) -> str | None:
    """Return a digest of everything that the exporter is told; None where that cannot be written down."""
    stream = io.BytesIO()
    try:
        _Writer(stream).dump((model, example, options))
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return hashlib.sha256(stream.getbuffer()).hexdigest()


class _Writer(pickle.Pickler):
    """Writes tensors as their values: how PyTorch pickles them depends on where they lie in memory."""

    def persistent_id(self, thing: object) -> object:
        if not isinstance(thing, torch.Tensor):
            return None
        digest = hashlib.sha256(thing.detach().contiguous().numpy().tobytes()).hexdigest()
        return type(thing).__name__, str(thing.dtype), tuple(thing.shape), thing.stride(), digest
