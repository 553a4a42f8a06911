"""Open an engine, after its sidecar has agreed that it is the right one here."""

from __future__ import annotations  # types of a module that may not be installed

from dataclasses import dataclass
from pathlib import Path

from compressor.base.errors import UsageError
from export.tensorrt import api as trt
from export.tensorrt.device import Device
from export.tensorrt.log import Log, new_log
from export.tensorrt.sidecar import read_record, sidecar_path, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How engines are opened.

    Attributes:
        trust_foreign: open an engine that has no sidecar. It is native code: whoever built it can do anything
            that this process may do. An engine with a sidecar is always compared with it.
        cuda_graphs: replay a recorded CUDA graph per batch size instead of enqueueing layer by layer.
    """

    trust_foreign: bool = False
    cuda_graphs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEngine:
    """A deserialised engine with what must live as long as it.

    Attributes:
        engine: TensorRT's engine.
        runtime: what made it.
        log: where both report.
    """

    engine: trt.ICudaEngine
    runtime: trt.Runtime
    log: Log


def load_engine(path: Path, device: Device, options: EngineOptions) -> OpenEngine:
    """Read, verify and deserialise an engine; `device` is the current one.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it has no sidecar, or does not agree with it or with this machine.
        CompressError: TensorRT does not accept it.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file", "give the path of an engine")
    content = path.read_bytes()
    if sidecar_path(path).exists() or not options.trust_foreign:
        verify(read_record(path), path, content, trt.__version__, device.facts)
    return deserialized(content, new_log(), str(path))


def deserialized(content: bytes, log: Log, where: str) -> OpenEngine:
    """Return the engine in ``content``, which runs as native code from here on.

    Raises:
        CompressError: TensorRT does not accept it.
        BackendMissingError: TensorRT does not start.
    """
    runtime = log.create(trt.Runtime)
    engine = log.need(
        runtime.deserialize_cuda_engine(content),
        f"deserialize_cuda_engine for {where}",
        "build it again on this machine: compress export --format tensorrt",
    )
    return OpenEngine(engine=engine, runtime=runtime, log=log)
