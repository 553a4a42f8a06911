"""What an exported file says about itself, written by ``compress export`` and read by everything after it."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import GraphProto, TensorProto

import compressor
from compressor.artifact import Artifact
from compressor.base.documents import decode, encode, parse_json
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.text import foreign
from compressor.tasks.task import TASKS, Task
from compressor.zoo.architecture import USUAL_TASK
from compressor.zoo.inputs import InputSpec
from export.onnx_reader import properties_of, read_onnx
from export.ports import input_shapes
from export.tensorrt.sidecar import EngineRecord, read_record

_INPUT = "compress.input"
TASK = "compress.task"
PRECISION = "compress.precision"
_PRECISIONS = ("fp32", "fp16", "int8")
UNKNOWN = "unknown"
_FLOATS = {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16", "DOUBLE": "fp64"}
"""ONNX's names of the types that weights of floating point have."""


def metadata_of(artifact: Artifact, inputs: InputSpec) -> dict[str, str]:
    """Return the properties of an ONNX file that takes ``inputs``, made from the model of an artifact."""
    return {
        "compress.version": compressor.__version__,
        "compress.architecture": artifact.manifest.arch,
        "compress.artifact": artifact.digest(),
        TASK: artifact.arch.task,
        _INPUT: json.dumps(encode(inputs)),
        **{
            f"compress.{name}": value
            for name, value in artifact.task.serving.properties(artifact.module).items()
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An exported file, read once: what it says of itself, and what its graph or its engine says.

    Attributes:
        path: the file.
        properties: what was written into it when it was exported; empty for somebody else's.
        taken: shapes of its inputs, batch first; -1 where a size is open, () where nothing is known.
        precision: in how many bits most layers compute: ``fp32``, ``fp16``, ``int8`` ..., or ``unknown``.
    """

    path: Path
    properties: Mapping[str, str]
    taken: tuple[tuple[int, ...], ...]
    precision: str

    @property
    def task(self) -> Task:
        """What the file does; one that does not say is a classifier.

        Raises:
            UsageError: it names a task that there is none of.
        """
        return TASKS.get(self.properties.get(TASK, USUAL_TASK))

    @property
    def said_input(self) -> InputSpec | None:
        """The input that the properties name, None where they name none.

        Raises:
            ArtifactError: they name something that is no input, or not the one that the file takes.
        """
        if _INPUT not in self.properties:
            return None
        said = parse_json(self.properties[_INPUT], f"{self.path}: {_INPUT}")
        found = decode(InputSpec, said, str(self.path))
        _check_taken(self.path, found, self.taken)
        return found

    def input(self, shapes: tuple[tuple[int, ...], ...] | None = None) -> InputSpec:
        """Return the input: what the file says, or ``shapes`` where it says nothing.

        Raises:
            UsageError: neither is known, or they contradict each other.
        """
        found = self.said_input
        if found is None and shapes is None:
            raise UsageError(
                f"{self.path} does not say what it takes: it was not written by compress export",
                "give --input, for instance 3x224x224.",
            )
        if found is not None and shapes is not None and shapes != found.shapes[: len(shapes)]:
            raise UsageError(
                f"{self.path} takes {found.shapes[0]}, not {shapes[0]}",
                "leave out --input, or export it for that size.",
            )
        return found or InputSpec(shapes=shapes or ())


def read_exported(path: Path) -> Exported:
    """Read an ONNX file without its weights files, or the sidecar of an engine.

    Raises:
        UsageError: it cannot be read.
    """
    if path.suffix == ".engine":
        return _from_sidecar(path, read_record(path))
    model = read_onnx(path)
    properties = properties_of(model)
    said = properties.get(PRECISION)
    return Exported(
        path=path,
        properties=properties,
        taken=input_shapes(model.graph),
        precision=said if said in _PRECISIONS else _seen_precision(model.graph),
    )


def _from_sidecar(path: Path, record: EngineRecord) -> Exported:
    pairs = [(tensor.smallest, tensor.largest) for tensor in record.inputs]
    return Exported(
        path=path,
        properties=record.metadata,
        taken=tuple((-1, *low[1:]) if low[1:] == high[1:] else () for low, high in pairs),
        precision=record.precision if record.precision in _PRECISIONS else UNKNOWN,
    )


def read_precision(path: Path) -> str:
    """Return in how many bits most layers of a file compute, for instance ``fp32``, ``fp16`` or ``int8``.

    A file of ours says it, and so does the sidecar of an engine. Of others the graph tells: int8 has
    quantised values, others have weights of that type. ``unknown`` where there is nothing to tell it by.

    Raises:
        UsageError: the file cannot be read.
    """
    return read_exported(path).precision


def read_input(path: Path) -> InputSpec:
    """Return the input that a file was exported for.

    Raises:
        UsageError: the file is not ours and does not say.
    """
    return read_exported(path).input()


def _seen_precision(graph: GraphProto) -> str:
    """Return the type that most weights have; single numbers are no weights."""
    if any("Quantize" in node.op_type or node.op_type.startswith("QLinear") for node in graph.node):
        return "int8"
    constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute]
    weights = [tensor for tensor in (*graph.initializer, *constants) if math.prod(tensor.dims) > 1]
    types = Counter(TensorProto.DataType.Name(tensor.data_type) for tensor in weights)
    found = [_FLOATS[name] for name, _ in types.most_common() if name in _FLOATS]
    return found[0] if found else UNKNOWN


def _check_taken(path: Path, said: InputSpec, taken: Sequence[tuple[int, ...]]) -> None:
    """Refuse a file whose properties name another input than its graph or its engine has.

    What is said decides what is fed, so a lie would surface late, as a runtime's error, or not at all.
    """
    wanted = [(said.max_batch or -1, *shape) for shape in said.shapes]
    fits = len(taken) == len(wanted) and all(map(_fits, taken, wanted))
    if not fits:
        raise ArtifactError(
            f"{foreign(path)}: {_INPUT} says {_listed(said.shapes)}, the file itself takes "
            f"{_listed([shape[1:] for shape in taken])}",
            "its properties were changed or belong to another file: export it again.",
        )


def _fits(taken: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Say whether a file takes what is wanted: a size that it leaves open fits all."""
    if len(taken) != len(wanted):
        return False
    batch = taken[0] in (-1, wanted[0])
    return batch and all(there in (-1, size) for there, size in zip(taken[1:], wanted[1:], strict=True))


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) or "no image" for shape in shapes) or "nothing"
