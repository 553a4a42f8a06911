"""TensorRT's profiler and engine inspector, on a GPU.

The profiler says the time of a layer by its name, the inspector what the layer is: keys ``Name``,
``LayerType``, ``Inputs`` and ``Outputs`` with ``Dimensions``, and ``Metadata``, into which the ONNX parser
writes ``[ONNX Layer: NAME]`` for each node that became part of the layer, or ``[ONNX Layer: NAME | ...]`` for
one inside of functions. (Read in the parser's source of TensorRT 10 and 11, and in answers of both.)
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.profile.runtimes import PROFILERS, Array, Sampling, Shape, Timed
from compressor.base.files import scratch
from export.backends import BACKENDS, SessionOptions
from export.backends.tensorrt import TensorRtBackend
from export.tensorrt.build import build_engine
from export.tensorrt.precision import layer_type, layers_of
from export.tensorrt.session import EngineSession
from export.tensorrt.settings import EngineSettings

_NODES: Final = re.compile(r"\[ONNX Layer: ([^\]|]*?) *(?:\||\])")
_JOINTS: Final = re.compile(r" \+ | \|\| ")
_WORDS: Final = {
    "gemm": "Gemm", "MatrixMultiply": "MatMul", "correlation": "Conv", "deconv": "ConvTranspose",
}  # fmt: skip
"""TensorRT's words for what ONNX calls otherwise."""
_MULTIPLES: Final = {"int8": 16}
_MULTIPLE: Final = 8


def _opened(engine: Path) -> EngineSession:
    backend = BACKENDS.get("tensorrt")
    assert isinstance(backend, TensorRtBackend)
    return backend.open(engine, SessionOptions(device="cuda"))


def _built(source: Path, engine: Path, batch: int) -> None:
    """Build a file for one batch; what it computes in is told layer by layer, and not asked for."""
    build_engine(source, engine, EngineSettings(batches=(1, batch, batch), least_share=0.0))


@dataclass(frozen=True, slots=True)
class TensorRtProfiler:
    """Times the layers of engines; an ONNX file is built first.

    Attributes:
        open: opens an engine.
        build: builds an ONNX file for batches up to one.
    """

    open: Callable[[Path], EngineSession] = _opened
    build: Callable[[Path, Path, int], None] = _built
    device: str = "cuda"

    def multiple(self, precision: str) -> int:
        """Return 8, for 8 bits 16: what NVIDIA's own lint of engines asks for."""
        return _MULTIPLES.get(precision, _MULTIPLE)

    def nodes(self, model: Path, feed: Mapping[str, Array], sampling: Sampling) -> tuple[Timed, ...]:
        """Run a file; see `bench.profile.runtimes.Profiler.nodes`."""
        if model.suffix != ".onnx":
            return self._timed(model, feed, sampling)
        with scratch() as folder:
            engine = folder / "model.engine"
            self.build(model, engine, max((len(array) for array in feed.values()), default=1))
            return self._timed(engine, feed, sampling)

    def _timed(self, engine: Path, feed: Mapping[str, Array], sampling: Sampling) -> tuple[Timed, ...]:
        with self.open(engine) as session:
            times = session.layer_times(feed, sampling.calls, sampling.progress)
        known = {str(layer["Name"]): layer for layer in layers_of(times.inspected) if _named(layer)}
        return tuple(_node(name, ms, known.get(name, {})) for name, ms in times.least_ms().items())


PROFILERS.register("tensorrt")(TensorRtProfiler())


def _named(layer: object) -> bool:
    return isinstance(layer, dict) and "Name" in layer


def _node(name: str, ms: float, layer: Mapping[str, Any]) -> Timed:
    kind = str(layer.get("LayerType", ""))
    nodes = _NODES.findall(str(layer.get("Metadata", "")))
    outputs = [str(tensor["Name"]) for tensor in _tensors(layer, "Outputs") if "Name" in tensor]
    return Timed(
        name=name,
        kind=_WORDS.get(kind, kind),
        ms=ms,
        precision=layer_type(layer),
        origin=tuple(dict.fromkeys((*nodes, *outputs, *_JOINTS.split(name)))),
        inputs=_shapes(layer, "Inputs"),
        outputs=_shapes(layer, "Outputs"),
    )


def _tensors(layer: Mapping[str, Any], side: str) -> list[Mapping[str, Any]]:
    found = layer.get(side)
    return [tensor for tensor in found if isinstance(tensor, dict)] if isinstance(found, list) else []


def _shapes(layer: Mapping[str, Any], side: str) -> tuple[Shape, ...]:
    """Return the shapes that are said, and are shapes: whole numbers above 0."""
    said = (tensor.get("Dimensions") for tensor in _tensors(layer, side))
    return tuple(tuple(shape) for shape in said if isinstance(shape, list) and all(map(_size, shape)))


def _size(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0
