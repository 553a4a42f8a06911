"""The ONNX file that an engine is built from: which files it consists of, and what it says about itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import onnx
from google.protobuf.message import DecodeError

from compressor.errors import UsageError
from export.to_onnx import file_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSource:
    """An ONNX file on disk.

    Attributes:
        path: the graph.
        sha256: digest of the graph, and of its weights files after it.
        metadata: its properties.
        operators: kinds of its nodes.
        element_types: ``onnx.TensorProto`` types of its weights.
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
            UsageError: a file is missing, or is no ONNX model.
        """
        try:
            model = onnx.load(path, load_external_data=False)
            files = [path, *(path.parent / name for name in _weights_files(model.graph))]
            digest = file_digest(*files)
        except FileNotFoundError as error:
            raise UsageError(
                f"{error.filename} does not exist", "give an .onnx file, with its weights file beside it"
            ) from error
        except (OSError, DecodeError, ValueError) as error:
            raise UsageError(f"{path} is not a readable ONNX file: {error}", "export it again") from error
        if not model.graph.node:
            raise UsageError(f"{path} is not an ONNX model: its graph is empty", "export it again")
        return cls(
            path=path,
            sha256=digest,
            metadata={entry.key: entry.value for entry in model.metadata_props},
            operators=frozenset(node.op_type for node in model.graph.node),
            element_types=frozenset(weight.data_type for weight in model.graph.initializer),
        )


def _weights_files(graph: onnx.GraphProto) -> list[str]:
    entries = (entry for weight in graph.initializer for entry in weight.external_data)
    return sorted({entry.value for entry in entries if entry.key == "location"})
