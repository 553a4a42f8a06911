"""What an exported file says about itself, written by ``compress export`` and read by everything after it."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

import compressor
from compressor.artifact import Manifest, architecture_of
from compressor.base.documents import decode, encode, parse_json
from compressor.base.text import foreign
from compressor.data import USUAL_TASK
from compressor.errors import ArtifactError, UsageError
from compressor.tasks.task import TASKS, Task
from compressor.types import InputSpec

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_INPUT = "compress.input"
TASK = "compress.task"
PRECISION = "compress.precision"
_PRECISIONS = ("fp32", "fp16", "int8")
UNKNOWN = "unknown"
_FLOATS = {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16", "DOUBLE": "fp64"}
"""ONNX's names of the types that weights of floating point have."""


def metadata_of(manifest: Manifest, inputs: InputSpec, model: nn.Module) -> dict[str, str]:
    """Return the properties of an ONNX file that takes ``inputs``, made from the model of an artifact."""
    task = architecture_of(manifest).task
    return {
        "compress.version": compressor.__version__,
        "compress.architecture": manifest.arch,
        "compress.artifact": manifest.digest(),
        TASK: task,
        _INPUT: json.dumps(encode(inputs)),
        **{f"compress.{name}": value for name, value in TASKS.get(task).serving.properties(model).items()},
    }


def task_of(properties: Mapping[str, str]) -> Task:
    """Return the task of a file by its properties; files that do not say are classifiers.

    Raises:
        UsageError: it names a task that there is none of.
    """
    return TASKS.get(properties.get(TASK, USUAL_TASK))


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
    return _properties(_opened(path))


def _opened(path: Path) -> "ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{foreign(path)} is not a readable ONNX file: {foreign(error)}", "export it again."
        ) from error


def _properties(model: "ModelProto") -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def read_precision(path: Path) -> str:
    """Return in how many bits most layers of a file compute, for instance ``fp32``, ``fp16`` or ``int8``.

    A file of ours says it, and so does the sidecar of an engine. Of others the graph tells: int8 has
    quantised values, others have weights of that type. ``unknown`` where there is nothing to tell it by.

    Raises:
        UsageError: the file cannot be read.
    """
    if path.suffix == ".engine":
        from export.tensorrt.sidecar import read_record

        precision = read_record(path).precision
        return precision if precision in _PRECISIONS else UNKNOWN
    model = _opened(path)
    said = _properties(model).get(PRECISION)
    return said if said in _PRECISIONS else _seen_precision(model.graph)


def _seen_precision(graph: "GraphProto") -> str:
    """Return the type that most weights have; single numbers are no weights."""
    from onnx import TensorProto

    if any("Quantize" in node.op_type or node.op_type.startswith("QLinear") for node in graph.node):
        return "int8"
    constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute]
    weights = [tensor for tensor in (*graph.initializer, *constants) if math.prod(tensor.dims) > 1]
    types = Counter(TensorProto.DataType.Name(tensor.data_type) for tensor in weights)
    found = [_FLOATS[name] for name, _ in types.most_common() if name in _FLOATS]
    return found[0] if found else UNKNOWN


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
        ArtifactError: they name something that is no input, or not the one that the file takes.
    """
    if _INPUT not in properties:
        return None
    found = decode(InputSpec, parse_json(properties[_INPUT], f"{path}: {_INPUT}"), str(path))
    _check_taken(path, found)
    return found


def _check_taken(path: Path, said: InputSpec) -> None:
    """Refuse a file whose properties name another input than its graph or its engine has.

    What is said decides what is fed, so a lie would surface late, as a runtime's error, or not at all.
    """
    taken = _taken(path)
    wanted = [(said.max_batch or -1, *shape) for shape in said.shapes]
    fits = len(taken) == len(wanted) and all(map(_fits, taken, wanted))
    if not fits:
        raise ArtifactError(
            f"{foreign(path)}: {_INPUT} says {_listed(said.shapes)}, the file itself takes "
            f"{_listed([shape[1:] for shape in taken])}",
            "its properties were changed or belong to another file: export it again.",
        )


def _taken(path: Path) -> list[tuple[int, ...]]:
    """Return the shapes of a file's inputs, batch first; -1 where a size is open."""
    if path.suffix == ".engine":
        from export.tensorrt.sidecar import read_record

        pairs = [(tensor.smallest, tensor.largest) for tensor in read_record(path).inputs]
        return [(-1, *smallest[1:]) if smallest[1:] == largest[1:] else () for smallest, largest in pairs]
    from export.ports import Ports

    return [port.shape for port in Ports.read(path).inputs]


def _fits(taken: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Say whether a file takes what is wanted: a size that it leaves open fits all."""
    if len(taken) != len(wanted):
        return False
    batch = taken[0] in (-1, wanted[0])
    return batch and all(there in (-1, size) for there, size in zip(taken[1:], wanted[1:], strict=True))


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) or "no image" for shape in shapes) or "nothing"


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
