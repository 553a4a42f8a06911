"""What an exported file says about itself, written by ``compress export`` and read by everything after it."""

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

import compressor
from compressor.artifact import Manifest, architecture_of
from compressor.base.documents import decode, encode, parse_json
from compressor.base.text import foreign
from compressor.errors import UsageError
from compressor.training import TASKS
from compressor.types import InputSpec

_INPUT = "compress.input"
TASK = "compress.task"
PRECISION = "compress.precision"
_PRECISIONS = ("fp32", "fp16", "int8")


def metadata_of(manifest: Manifest, inputs: InputSpec, model: nn.Module) -> dict[str, str]:
    """Return the properties of an ONNX file that takes ``inputs``, made from the model of an artifact."""
    task = architecture_of(manifest).task
    return {
        "compress.version": compressor.__version__,
        "compress.architecture": manifest.arch,
        "compress.artifact": manifest.digest(),
        TASK: task,
        _INPUT: json.dumps(encode(inputs)),
        **{f"compress.{name}": value for name, value in TASKS.get(task).properties(model).items()},
    }


def read_properties(path: Path) -> dict[str, str]:
    """Return what a file says of itself: an ONNX file in its properties, an engine in its sidecar.

    Raises:
        UsageError: it cannot be read.
    """
    if path.suffix == ".engine":
        from export.tensorrt.sidecar import read_record

        return read_record(path).metadata
    return read_metadata(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the properties of an ONNX file; its weights are not read.

    Raises:
        UsageError: the file cannot be read.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{foreign(path)} is not a readable ONNX file: {foreign(error)}", "export it again."
        ) from error
    return {entry.key: entry.value for entry in model.metadata_props}


def read_precision(path: Path) -> str:
    """Return in how many bits most layers of a file compute: ``fp32``, ``fp16`` or ``int8``.

    A file of ours says it; of others the graph tells: int8 has quantised values, fp16 weights in half.

    Raises:
        UsageError: the file cannot be read.
    """
    said = read_properties(path).get(PRECISION)
    if said in _PRECISIONS:
        return said
    return "fp32" if path.suffix == ".engine" else _seen_precision(path)


def _seen_precision(path: Path) -> str:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    if any("Quantize" in node.op_type or node.op_type.startswith("QLinear") for node in graph.node):
        return "int8"
    constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute]
    weights = [weight.data_type for weight in (*graph.initializer, *constants)]
    halves = weights.count(onnx.TensorProto.FLOAT16)
    return "fp16" if halves > weights.count(onnx.TensorProto.FLOAT) else "fp32"


def read_input(path: Path) -> InputSpec:
    """Return the input that a file was exported for.

    Raises:
        UsageError: the file is not ours and does not say.
    """
    found = said_input(path, read_properties(path))
    if found is None:
        raise UsageError(
            f"{path} does not say what it takes: it was not written by compress export",
            "give --input, for instance 3x224x224.",
        )
    return found


def said_input(path: Path, properties: Mapping[str, str]) -> InputSpec | None:
    """Return the input that a file's properties name, None where they name none.

    Raises:
        ArtifactError: they name something that is no input.
    """
    if _INPUT not in properties:
        return None
    return decode(InputSpec, parse_json(properties[_INPUT], f"{path}: {_INPUT}"), str(path))


def input_of(path: Path, shapes: tuple[tuple[int, ...], ...] | None) -> InputSpec:
    """Return the input of a file: what it says, or ``shapes`` where it says nothing.

    Raises:
        UsageError: neither is known, or they contradict each other.
    """
    if shapes is None:
        return read_input(path)
    found = said_input(path, read_properties(path))
    if found is not None and shapes != found.shapes[: len(shapes)]:
        raise UsageError(
            f"{path} takes {found.shapes[0]}, not {shapes[0]}",
            "leave out --input, or export it for that size.",
        )
    return found or InputSpec(shapes=shapes)
