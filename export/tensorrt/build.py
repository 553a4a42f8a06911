"""ONNX file -> engine, its sidecar, and the timing cache that makes the next build fast.

Only names that TensorRT 10.13 to 11 share are used. The network is strongly typed: every layer computes in
the type that the graph says, and the flags that used to relax it are gone in 11. What came out is read back
from the engine.
"""

from __future__ import annotations  # types of a module that may not be installed

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from compressor.base.files import publish, temporary_folder
from export.tensorrt import api as trt
from export.tensorrt.device import CudaDevice, Device
from export.tensorrt.load import OpenEngine, deserialized
from export.tensorrt.log import Log, new_log
from export.tensorrt.precision import precision_share, require_precision
from export.tensorrt.presence import missing_tensorrt
from export.tensorrt.session import shaped_context
from export.tensorrt.settings import EngineSettings
from export.tensorrt.sidecar import EngineRecord, record_to_text, sha256, sidecar_path
from export.tensorrt.source import OnnxSource
from export.tensorrt.support import require_support
from export.tensorrt.tensors import engine_inputs

_BUILD_HINT: Final = (
    "free GPU memory, allow a larger workspace, or build with a smaller largest batch; for an operator"
    " without an implementation, see the message and change the model, or run it with --backend onnxruntime"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFile:
    """An engine on disk.

    Attributes:
        path: the engine; its sidecar is beside it in ``<name>.json``, the timing cache in ``<name>.timing``.
        bytes: size of the engine.
        record: what the sidecar says.
    """

    path: Path
    bytes: int
    record: EngineRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the builder returned."""

    engine: bytes
    timing_cache: bytes
    timing_cache_reused: bool
    batches: tuple[int, int, int]


def build_engine(
    onnx: Path, engine: Path, settings: EngineSettings, *, device: Device | None = None
) -> EngineFile:
    """Build an engine for this machine's GPU; nothing is left behind where a step fails.

    The batch is the only axis that may be dynamic. A timing cache of an earlier build of the same name is
    used.

    Args:
        onnx: the graph, already converted to ``settings.precision``.
        engine: the file to write; its folder exists and the file does not.
        settings: how.
        device: the GPU; None takes the first one.

    Raises:
        BackendMissingError: TensorRT or the GPU is not usable.
        UsageError: the file exists, the ONNX file cannot be read, does not have the batches asked for, or
            holds numbers in a format that the GPU has no units for.
        CompressError: an operator is not supported, the build fails, or the precision was not achieved.
    """
    if engine.exists():
        raise UsageError(f"{engine} exists", "remove it or choose another name")
    if not engine.parent.is_dir():
        raise UsageError(f"folder {engine.parent} does not exist", "create it first")
    source = OnnxSource.read(onnx)
    gpu = device or first_gpu()
    require_support(source, gpu.facts)
    cache = timing_cache_path(engine)
    with gpu.active():
        log = new_log()
        plan = _built(source, settings, cache.read_bytes() if cache.is_file() else b"", log)
        record = _record(source, settings, plan, gpu, deserialized(plan.engine, log, str(engine)))
    require_precision(record.precision_share, settings.precision, settings.least_share)
    _write(
        engine, {cache: plan.timing_cache, sidecar_path(engine): record_to_text(record).encode()}, plan.engine
    )
    return EngineFile(path=engine, bytes=len(plan.engine), record=record)


def timing_cache_path(engine: Path) -> Path:
    """Return where the timing cache of an engine lies."""
    return engine.with_name(f"{engine.name}.timing")


def first_gpu() -> CudaDevice:
    """Return the first CUDA device.

    Raises:
        BackendMissingError: TensorRT cannot use it, with the reason and what to install.
    """
    reason = missing_tensorrt("cuda")
    if reason is not None:
        raise BackendMissingError(
            f"no engine can be built here: {reason}", "an engine is built on the kind of GPU that runs it"
        )
    return CudaDevice(0)


def _built(source: OnnxSource, settings: EngineSettings, cache: bytes, log: Log) -> _Plan:
    builder = log.create(trt.Builder)
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)  # 1 on TensorRT 10, 0 on 11
    network = log.need(builder.create_network(strongly_typed), "create_network", _BUILD_HINT)
    parser = trt.OnnxParser(network, log.logger)  # it must live until the build is over
    if not parser.parse_from_file(str(source.path)):
        raise _parse_error(parser, source.path, log)
    config = log.need(builder.create_builder_config(), "create_builder_config", _BUILD_HINT)
    _configure(config, settings)
    timing = log.need(config.create_timing_cache(b""), "create_timing_cache", _BUILD_HINT)
    earlier = config.create_timing_cache(cache) if cache else None
    # A cache of another GPU or version is refused: measuring again is all that is lost, and the sidecar
    # says so.
    reused = earlier is not None and config.set_timing_cache(earlier, False)
    if not reused:
        log.need(config.set_timing_cache(timing, False), "set_timing_cache", _BUILD_HINT)
    batches = _add_profile(builder, config, network, settings, log)
    plan = log.need(builder.build_serialized_network(network, config), "build", _BUILD_HINT)
    measured = log.need(config.get_timing_cache(), "get_timing_cache", _BUILD_HINT)
    serialised = log.need(measured.serialize(), "timing cache serialize", _BUILD_HINT)
    return _Plan(
        engine=bytes(plan), timing_cache=bytes(serialised), timing_cache_reused=reused, batches=batches
    )


def _configure(config: trt.IBuilderConfig, settings: EngineSettings) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_bytes)
    config.builder_optimization_level = settings.optimization_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the precision could not be read back
    if settings.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)


def _parse_error(parser: trt.OnnxParser, path: Path, log: Log) -> CompressError:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    named = [f"{e.node_operator()} node {e.node_name()!r}: {e.desc()}" for e in errors if e.node_operator()]
    listed = "; ".join(named or [e.desc() for e in errors]) or log.said()
    return CompressError(
        f"TensorRT cannot read {path}: {listed}",
        "replace that operator in the model (no boolean indexing, fixed sizes), do that step outside the"
        " engine, or run the ONNX file with --backend onnxruntime",
    )


def _add_profile(
    builder: trt.Builder,
    config: trt.IBuilderConfig,
    network: trt.INetworkDefinition,
    settings: EngineSettings,
    log: Log,
) -> tuple[int, int, int]:
    """Tune for the batches that were asked for, and return the batches that the engine will take."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    shapes = {tensor.name: tuple(tensor.shape) for tensor in inputs}
    if not any(-1 in shape for shape in shapes.values()):
        return _fixed_batch(shapes, settings)
    profile = log.need(builder.create_optimization_profile(), "create_optimization_profile", _BUILD_HINT)
    for name, shape in shapes.items():
        if -1 in shape[1:]:
            raise UsageError(
                f"input {name} has shape {shape}: an axis other than the batch is dynamic",
                "export the model with a fixed size",
            )
        batched = [tuple(batch if size == -1 else size for size in shape) for batch in settings.batches]
        profile.set_shape(name, *batched)
    log.need(bool(profile), "optimisation profile", _BUILD_HINT)
    log.need(config.add_optimization_profile(profile) >= 0, "add_optimization_profile", _BUILD_HINT)
    return settings.batches


def _fixed_batch(shapes: Mapping[str, tuple[int, ...]], settings: EngineSettings) -> tuple[int, int, int]:
    batch = next((shape[0] for shape in shapes.values() if shape), 1)
    if not settings.batches[0] <= batch <= settings.batches[2]:
        raise UsageError(
            f"the ONNX file has a fixed batch of {batch}, batches {settings.batches} were asked for",
            "export it with a dynamic batch, or ask for the one that it has",
        )
    return batch, batch, batch


def _record(
    source: OnnxSource, settings: EngineSettings, plan: _Plan, gpu: Device, opened: OpenEngine
) -> EngineRecord:
    inputs = engine_inputs(opened.engine)
    tuned = {t.name: (plan.batches[1], *t.smallest[1:]) if t.smallest else () for t in inputs}
    return EngineRecord(
        tensorrt=trt.__version__,
        gpu=gpu.facts,
        onnx_sha256=source.sha256,
        engine_sha256=sha256(plan.engine),
        timing_cache_sha256=sha256(plan.timing_cache),
        timing_cache_reused=plan.timing_cache_reused,
        batches=plan.batches,
        inputs=tuple(tensor.record() for tensor in inputs),
        workspace_bytes=settings.workspace_bytes,
        optimization_level=settings.optimization_level,
        tf32=settings.tf32,
        precision=settings.precision,
        precision_share=_precision_share(opened, gpu, tuned),
        metadata=source.metadata,
    )


def _precision_share(
    opened: OpenEngine, gpu: Device, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, float]:
    """Ask the inspector; it tells the types of a dynamic engine only for shapes that are set in a context."""
    inspector = opened.log.need(
        opened.engine.create_engine_inspector(), "create_engine_inspector", _BUILD_HINT
    )
    inspector.execution_context = shaped_context(opened, gpu, shapes)
    return precision_share(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _write(engine: Path, beside: Mapping[Path, bytes], content: bytes) -> None:
    """Write all files before any is moved, and move the engine last: where it is seen, its sidecar is."""
    files = {**beside, engine: content}
    with _writing(engine), temporary_folder(engine.parent) as folder:
        for path, data in files.items():
            (folder / path.name).write_bytes(data)
        for path in files:
            publish(folder / path.name, path)


@contextlib.contextmanager
def _writing(engine: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        sidecar_path(engine).unlink(missing_ok=True)
        raise CompressError(
            f"cannot write {engine}: {error.strerror}", "choose a folder with room that you may write to"
        ) from error
