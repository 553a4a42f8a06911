"""Exported files in ONNX Runtime and TensorRT, where they are installed."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from bench.studies.gpu.calls import inputs_of
from bench.studies.gpu.cells import Cell
from bench.studies.gpu.subjects import architecture
from compressor.base.files import scratch
from export.session import Array

Outputs = Callable[[], dict[str, Array]]

NEEDED = {
    "onnxruntime": ("onnx", "onnxscript", "onnxruntime"),
    "tensorrt": ("onnx", "onnxscript", "onnxruntime", "tensorrt"),
}
"""Engine -> the packages that it takes to export, to convert and to run."""


def missing(cell: Cell, device: torch.device) -> str | None:
    """Return why the engine of a cell is not usable here, or None."""
    if cell.engine == "graph" and device.type != "cuda":
        return "CUDA graphs need CUDA"
    if cell.engine not in NEEDED:
        return None
    absent = [name for name in NEEDED[cell.engine] if find_spec(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    from export.backends import BACKENDS

    return BACKENDS.get(cell.engine).missing(device.type)


@contextlib.contextmanager
def opened(module: nn.Module, cell: Cell, device: torch.device) -> Iterator[Outputs]:
    """Export a module, open the file, and yield a call from host memory to host memory.

    Raises:
        CompressError: a step of the way does not work.
    """
    from export.backends import BACKENDS, SessionOptions

    arch = architecture(cell.model)
    with scratch() as folder:
        path = _file(*arch.deployed(module, arch.input), cell, folder)
        with BACKENDS.get(cell.engine).open(path, SessionOptions(device=device.type)) as session:
            arrays = [x.numpy() for x in inputs_of(cell, torch.device("cpu"))]
            feed = dict(zip(session.input_names, arrays, strict=True))
            yield partial(session.run, feed)


def _file(module: nn.Module, inputs: object, cell: Cell, folder: Path) -> Path:
    from export.precision import to_fp16
    from export.to_onnx import export_onnx

    path = folder / "fp32.onnx"
    export_onnx(module, inputs, path, metadata={})  # type: ignore[arg-type]
    if cell.precision == "fp16":
        path = folder / "fp16.onnx"
        to_fp16(folder / "fp32.onnx", path)
    if cell.engine != "tensorrt":
        return path
    from export.tensorrt.build import build_engine
    from export.tensorrt.settings import EngineSettings

    settings = EngineSettings(precision=cell.precision, batches=(cell.batch,) * 3)
    return build_engine(path, folder / "model.engine", settings).path
