"""Write a model into a repository: complete and under its name, or not at all."""

import shutil
from pathlib import Path
from typing import Final

from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.base.files import publish, temporary_folder
from compressor.base.locks import owned
from compressor.base.text import foreign
from export.ports import Ports
from export.tensorrt.sidecar import EngineRecord, read_record, sha256
from export.tensorrt.source import OnnxSource
from export.triton.config import LABELS_FILE, Runtime, model_config
from export.triton.pbtxt import to_pbtxt
from export.triton.settings import TritonSettings

_RUNTIMES: Final[dict[str, Runtime]] = {".onnx": "onnxruntime", ".engine": "tensorrt"}
_FILES: Final[dict[Runtime, str]] = {"onnxruntime": "model.onnx", "tensorrt": "model.plan"}
_VERSION: Final = "1"


def write_repository(
    model_file: Path, repository: Path, settings: TritonSettings, *, onnx: Path | None = None
) -> Path:
    """Add a model to a repository, which is created if need be; other models in it are left alone.

    The folder is made under a temporary name and renamed when it is complete. A server that polls its
    repository may log the temporary name; load models explicitly.

    Args:
        model_file: an ``.onnx`` file, or an ``.engine`` with its sidecar. Triton opens an engine only if its
            TensorRT has the version that built it.
        repository: folder of models.
        settings: how it is served.
        onnx: the file that an engine was built from; it describes the engine's inputs and outputs.

    Returns:
        The model's folder.

    Raises:
        UsageError: the model exists in the repository, a file is missing or unreadable, or settings and file
            do not go together.
        ArtifactError: an engine is damaged, or was built from another ONNX file.
        CompressError: the repository cannot be written.
    """
    runtime = _runtime(model_file, settings)
    source = _description(model_file, onnx)
    ports = Ports.read(source)
    if runtime == "tensorrt":
        _check_engine(model_file, OnnxSource.read(source), settings)
    config = to_pbtxt(model_config(ports, settings, runtime))
    files = {_FILES[runtime]: model_file}
    if runtime == "onnxruntime":
        files |= _weights(model_file, ports)
    target = repository / settings.name
    if target.exists():
        raise UsageError(f"{target} exists", "choose another name, or remove the model first")
    try:
        repository.mkdir(exist_ok=True)
        with owned(target), temporary_folder(repository) as scratch:
            draft = scratch / settings.name  # a temporary folder itself would be closed to Triton's user
            _fill(draft, files, config, settings.labels)
            publish(draft, target)
    except OSError as error:
        raise CompressError(
            f"cannot write {target}: {error.strerror}", "give a folder in an existing one, with room in it"
        ) from error
    return target


def _runtime(model_file: Path, settings: TritonSettings) -> Runtime:
    if model_file.suffix not in _RUNTIMES:
        raise UsageError(f"{model_file} is neither an .onnx nor an .engine file", "export the artifact first")
    if not model_file.is_file():
        raise UsageError(f"{model_file} is not a file", "export the artifact first")
    runtime = _RUNTIMES[model_file.suffix]
    if runtime == "tensorrt" and settings.device == "cpu":
        raise UsageError(f"{model_file} is an engine, which cannot be served on the CPU", "use its ONNX file")
    return runtime


def _description(model_file: Path, onnx: Path | None) -> Path:
    if model_file.suffix == ".onnx":
        return model_file
    if onnx is None:
        raise UsageError(
            f"{model_file} does not tell its outputs without a GPU",
            "give the ONNX file it was built from",
        )
    return onnx


def _check_engine(engine: Path, source: OnnxSource, settings: TritonSettings) -> None:
    record = read_record(engine)
    if record.engine_sha256 != sha256(engine.read_bytes()):
        raise ArtifactError(f"{engine} is not the file that its sidecar describes", "build it again")
    if record.onnx_sha256 != source.sha256:
        raise ArtifactError(f"{engine} was not built from {source.path}", "give the file it was built from")
    if settings.max_batch:
        _check_batches(engine, record, settings.max_batch)


def _check_batches(engine: Path, record: EngineRecord, max_batch: int) -> None:
    smallest, _, largest = record.batches
    if smallest > 1 or largest < max_batch:
        raise UsageError(
            f"{engine} was built for batches of {smallest} to {largest}, Triton would send 1 to {max_batch}",
            "build it for these batches, or choose another largest batch",
        )


def _weights(model_file: Path, ports: Ports) -> dict[str, Path]:
    """Return the files with weights beyond 2 GiB: the graph refers to them by name."""
    for name in ports.weights_files:
        if Path(name).name != name:
            raise UsageError(
                f"{model_file} has weights in another folder: {foreign(name)}", "export it again"
            )
        if not (model_file.parent / name).is_file():
            raise UsageError(
                f"{model_file} lacks its weights file {foreign(name)}", "put it beside the graph"
            )
    return {name: model_file.parent / name for name in ports.weights_files}


def _fill(draft: Path, files: dict[str, Path], config: str, labels: tuple[str, ...]) -> None:
    version = draft / _VERSION
    version.mkdir(parents=True)
    for name, file in files.items():
        shutil.copyfile(file, version / name)
    if labels:
        (draft / LABELS_FILE).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    (draft / "config.pbtxt").write_text(config, encoding="utf-8")
