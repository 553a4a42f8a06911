"""What goes into an ONNX file and what comes out, read from its graph: names, element types, shapes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnx
from google.protobuf.message import DecodeError

from compressor.errors import UsageError


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
        graph = _graph(path)
        weights = {weight.name for weight in graph.initializer}
        return cls(
            inputs=tuple(_port(value, path) for value in graph.input if value.name not in weights),
            outputs=tuple(_port(value, path) for value in graph.output),
            weights_files=weights_files(graph),
        )


def _graph(path: Path) -> onnx.GraphProto:
    if not path.is_file():
        raise UsageError(f"{path} is not a file", "give the path of an .onnx file")
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, DecodeError, ValueError) as error:
        raise UsageError(f"{path} is not a readable ONNX file: {error}", "export it again") from error
    if not graph.output:
        raise UsageError(f"{path} is not an ONNX model: it has no outputs", "export it again")
    return graph


def _port(value: onnx.ValueInfoProto, path: Path) -> Port:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise UsageError(
            f"{path}: {value.name!r} is no tensor, or has no shape",
            "export the model again with static ranks",
        )
    sizes = (axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)
    return Port(name=value.name, element_type=tensor.elem_type, shape=tuple(sizes))


def weights_files(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Return the names of the files that hold a graph's weights, relative to its folder."""
    entries = (entry for weight in graph.initializer for entry in weight.external_data)
    return tuple(sorted({entry.value for entry in entries if entry.key == "location"}))
