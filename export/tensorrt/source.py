"""The ONNX file that an engine is built from: which files it consists of, and what it says about itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnx

from compressor.base.errors import UsageError
from compressor.base.files import file_digest
from export.onnx_reader import properties_of, read_runnable, reading
from export.ports import weights_files


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSource:
    """An ONNX file on disk.

    Attributes:
        path: the graph.
        sha256: digest of the graph, and of its weights files after it.
        metadata: its properties.
        operators: kinds of its nodes.
        element_types: ``onnx.TensorProto`` types of its weights, inputs and outputs, and of its casts.
    """

    path: Path
    sha256: str
    metadata: dict[str, str]
    operators: frozenset[str]
    element_types: frozenset[int]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the graph without its weights.

        Raises:
            UsageError: a file is missing, is no ONNX model, or has weights outside of its folder.
        """
        model = read_runnable(path)
        if not model.graph.node:
            raise UsageError(f"{path} is not an ONNX model: its graph is empty", "export it again")
        return cls(
            path=path,
            sha256=_digest(path, weights_files(model.graph)),
            metadata=properties_of(model),
            operators=frozenset(node.op_type for node in model.graph.node),
            element_types=_element_types(model.graph),
        )


def _element_types(graph: onnx.GraphProto) -> frozenset[int]:
    ports = (*graph.input, *graph.output)
    casts = (a.i for node in graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to")
    constants = (a.t.data_type for node in graph.node for a in node.attribute if a.HasField("t"))
    weights = (weight.data_type for weight in graph.initializer)
    return frozenset({*weights, *casts, *constants, *(port.type.tensor_type.elem_type for port in ports)})


def _digest(path: Path, weights: tuple[str, ...]) -> str:
    with reading(path):
        try:
            return file_digest(path, *(_beside(path, name) for name in weights))
        except FileNotFoundError as error:
            raise UsageError(
                f"{error.filename} does not exist", "give an .onnx file, with its weights file beside it"
            ) from error


def _beside(graph: Path, name: str) -> Path:
    """Return a file of weights; a graph must not make anyone read what lies elsewhere."""
    path = graph.parent / name
    if not path.resolve().is_relative_to(graph.parent.resolve()):
        raise UsageError(
            f"{graph} names {name} as its weights, which is outside of its folder",
            "do not use a file from a source you do not trust; else put the weights beside the graph",
        )
    return path
