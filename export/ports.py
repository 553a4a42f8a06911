"""What goes into an ONNX file and what comes out, read from its graph: names, element types, shapes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx

from compressor.base.errors import UsageError
from export.onnx_reader import read_runnable


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of a graph.

    Attributes:
        name: as in the file.
        element_type: ``onnx.TensorProto`` number, for instance ``TensorProto.FLOAT``.
        shape: sizes, -1 where the file leaves one open; the batch axis is included.
    """

    name: str
    element_type: int
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Element type as NumPy calls it; None where it has none."""
        try:
            return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.element_type))
        except KeyError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that a caller of an ONNX file has to know, in the order of the file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights_files: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the graph; weights in other files stay where they are.

        Raises:
            UsageError: the file cannot be read, is not an ONNX model, or has a port that is no tensor.
        """
        graph = read_runnable(path).graph
        return cls(
            inputs=tuple(_port(value, path) for value in _fed(graph)),
            outputs=tuple(_port(value, path) for value in graph.output),
            weights_files=weights_files(graph),
        )


def _port(value: onnx.ValueInfoProto, path: Path) -> Port:
    shape = _shape(value)
    if shape is None:
        raise UsageError(
            f"{path}: {value.name!r} is no tensor, or has no shape",
            "export the model again with static ranks",
        )
    return Port(name=value.name, element_type=value.type.tensor_type.elem_type, shape=shape)


def input_shapes(graph: onnx.GraphProto) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of a graph's inputs, -1 where a size is open; () of one without a shape."""
    return tuple(_shape(value) or () for value in _fed(graph))


def _fed(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    weights = {weight.name for weight in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)


def weights_files(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Return the names of the files that hold a graph's weights, relative to its folder."""
    entries = (entry for weight in graph.initializer for entry in weight.external_data)
    return tuple(sorted({entry.value for entry in entries if entry.key == "location"}))
