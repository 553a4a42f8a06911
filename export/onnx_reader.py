"""Opening ONNX files: one way in, and one wording where a file is none."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from compressor.base.errors import UsageError
from compressor.base.text import foreign


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Refuse a file that cannot be read inside the block.

    Raises:
        UsageError: it is missing, damaged, or no ONNX file.
    """
    try:
        yield
    except (OSError, DecodeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{foreign(path)} is not a readable ONNX file: {foreign(error)}",
            "give the path of an .onnx file, or export it again.",
        ) from error


def read_onnx(path: Path) -> onnx.ModelProto:
    """Return a model as it is in its file, an empty one too; weights in other files stay where they are.

    Raises:
        UsageError: the file cannot be read.
    """
    with reading(path):
        return onnx.load(path, load_external_data=False)


def read_runnable(path: Path) -> onnx.ModelProto:
    """Return a model that computes something, as `read_onnx` does.

    Raises:
        UsageError: the file cannot be read, or has no outputs, like most files that are no model.
    """
    model = read_onnx(path)
    if not model.graph.output:
        raise UsageError(f"{foreign(path)} is not an ONNX model: it has no outputs", "export it again.")
    return model


def properties_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return what a model says of itself."""
    return {entry.key: entry.value for entry in model.metadata_props}
