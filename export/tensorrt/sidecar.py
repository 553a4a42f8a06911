"""What an engine is, in ``<engine>.json`` beside it: where it came from, what it needs, what it computes in.

TensorRT engines have no place for such facts, and an engine is native code: opening one that was made for
another version or GPU fails late and badly, opening a stranger's runs the stranger's code. So every engine
gets a sidecar when it is built, and is compared with it before it is opened. That finds mistakes and
damage; it does not find malice, since whoever can replace an engine can replace its sidecar too.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import compressor
from compressor.base.documents import check_schema, decode, encode, read_json
from compressor.base.errors import ArtifactError
from export.tensorrt.device import GpuFacts

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """An input or output of an engine.

    Attributes:
        name: as in the ONNX file.
        dtype: numpy's name of the element type.
        smallest: shape at the smallest batch.
        largest: shape at the largest batch.
    """

    name: str
    dtype: str
    smallest: tuple[int, ...]
    largest: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """Everything the sidecar says.

    Attributes:
        schema_version: of this document.
        program: version of compress that built the engine.
        tensorrt: version of TensorRT with its build number; an engine opens in exactly this one.
        gpu: device that it was tuned on; it opens on others of the same compute capability.
        onnx_sha256: digest of the ONNX file, and of its weights files after it.
        engine_sha256: digest of the engine.
        timing_cache_sha256: digest of the timing cache as it was after the build.
        timing_cache_reused: whether measurements of an earlier build were taken over.
        batches: smallest, best tuned and largest batch.
        inputs: what the engine takes.
        workspace_bytes: limit on scratch memory.
        optimization_level: 0..5, how long the builder searched.
        tf32: whether FP32 layers were allowed to round their inputs to TF32 on Ampere and later.
        precision: what was asked for.
        precision_share: what the engine computes in, see `export.tensorrt.precision`.
        metadata: properties of the ONNX file, see `export.metadata`.
    """

    schema_version: int = SCHEMA_VERSION
    program: str = compressor.__version__
    tensorrt: str
    gpu: GpuFacts
    onnx_sha256: str
    engine_sha256: str
    timing_cache_sha256: str
    timing_cache_reused: bool
    batches: tuple[int, int, int]
    inputs: tuple[TensorRecord, ...]
    workspace_bytes: int
    optimization_level: int
    tf32: bool
    precision: str
    precision_share: dict[str, float]
    metadata: dict[str, str]


def sidecar_path(engine: Path) -> Path:
    """Return where the sidecar of an engine lies."""
    return engine.with_name(f"{engine.name}.json")


def sha256(content: bytes) -> str:
    """Return the digest of ``content`` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def record_to_text(record: EngineRecord) -> str:
    """Return the sidecar's content."""
    return json.dumps(encode(record), indent=1) + "\n"


def read_record(engine: Path) -> EngineRecord:
    """Return what the sidecar of an engine says; the engine itself is not read.

    Raises:
        ArtifactError: there is no sidecar, or it is damaged or of another schema.
    """
    path = sidecar_path(engine)
    if not path.exists():
        raise ArtifactError(
            f"{engine} has no sidecar {path.name}, so nothing says where it came from, and an engine is"
            " native code",
            "build it here from the ONNX file (compress export --format tensorrt), or copy its sidecar along",
        )
    data = read_json(path, "build the engine again.")
    check_schema(data, SCHEMA_VERSION, str(path))
    return decode(EngineRecord, data, str(path))


def verify(record: EngineRecord, engine: Path, content: bytes, version: str, gpu: GpuFacts) -> None:
    """Refuse an engine that is not the one described, or that was not built for this machine.

    Args:
        record: its sidecar.
        engine: its path, for the message.
        content: its bytes, the ones that are opened afterwards.
        version: the installed TensorRT.
        gpu: the device that is to run it.

    Raises:
        ArtifactError: naming what differs.
    """
    checks = (
        ("sha256", record.engine_sha256, sha256(content), "it was damaged, exchanged, or only half copied"),
        ("TensorRT", record.tensorrt, version, "an engine opens only in the version that built it"),
        (
            "compute capability",
            record.gpu.compute_capability,
            gpu.compute_capability,
            f"it was built for {record.gpu.name}, this is {gpu.name}",
        ),
    )
    for what, expected, found, why in checks:
        if expected != found:
            raise ArtifactError(
                f"{engine}: {what} should be {expected} and is {found}: {why}",
                "build it again on this machine: compress export --format tensorrt",
            )
