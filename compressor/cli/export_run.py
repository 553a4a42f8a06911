"""What ``compress export`` does: open, deploy, and build what was asked for from the ONNX file."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal

from compressor.artifact import Artifact
from compressor.artifact.opening import Levers
from compressor.base.documents import Json, encode
from compressor.base.files import publish, scratch, temporary_folder, writing
from compressor.base.locks import owned
from compressor.cli import output
from compressor.cli.sources import open_model, trust_in
from compressor.tasks.opened import Precision
from compressor.tasks.parity import SERVED_BATCHES
from export.calibrated import calibration_on
from export.deploy import Calibration, Deployed, DeploySettings, compared, deploy
from export.precision import AutoReport, Int8Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress export``, as typed."""

    artifact: Path
    weights: Path | None
    classes: int | None
    output: Path
    format: Literal["onnx", "tensorrt", "triton"]
    precision: Precision
    target: Literal["cpu", "tensorrt"]
    align: int | None
    calib: str | None
    calib_images: int
    calib_method: Literal["minmax", "entropy", "percentile"]
    auto: float | None
    keep: tuple[str, ...]
    batches: tuple[int, int, int]
    shape: str | None
    levers: Levers
    threads: int | None
    trust_code: bool
    json: bool
    form: str | None


def run(request: Request) -> None:
    """Carry out a request and print its result."""
    artifact = _opened(request)
    deployed, more = _FORMATS[request.format](request, artifact)
    document = _document(request, artifact, deployed) | more
    if request.json:
        output.print_json(document)
        return
    output.show(*_sentences(request, deployed))
    for name, value in more.items():
        output.show(f"{name.replace('_', ' ')}: {value}")


def _opened(request: Request) -> Artifact:
    """Return an artifact, or a dense model by name with a checkpoint or random weights."""
    trust = trust_in([str(request.artifact)], everything=request.trust_code)
    source = open_model(
        str(request.artifact), request.weights, request.classes, request.shape, request.levers, trust
    )
    if not source.stored:
        output.say(f"{request.artifact}: {source.manifest.weights_from}")
    return source


def _onnx(request: Request, artifact: Artifact) -> tuple[Deployed, dict[str, Any]]:
    return _deployed(request, artifact, request.output), {}


def _deployed(request: Request, artifact: Artifact, path: Path) -> Deployed:
    started = time.monotonic()
    return deploy(
        artifact,
        path,
        _settings(request, artifact),
        say=lambda words: output.say(f"{time.monotonic() - started:4.0f} s  {words}"),
    )


def _engine(request: Request, artifact: Artifact) -> tuple[Deployed, dict[str, Any]]:
    from export.tensorrt.build import build_engine, first_gpu, timing_cache_path
    from export.tensorrt.settings import EngineSettings

    gpu = first_gpu()  # before the export, which takes its time
    settings = EngineSettings(precision=request.precision, batches=request.batches)
    with owned(request.output), temporary_folder(request.output.parent) as folder:
        source = folder / request.output.with_suffix(".onnx").name
        deployed = _deployed(request, artifact, source)
        draft, cache = folder / request.output.name, timing_cache_path(request.output)
        if cache.is_file():
            shutil.copyfile(cache, timing_cache_path(draft))
        engine = build_engine(source, draft, settings, device=gpu)
        compared(artifact, draft, _settings(request, artifact), "tensorrt")
        _publish_engine(draft, request.output)
    return deployed, {"engine": encode(engine.record)}


def _publish_engine(draft: Path, path: Path) -> None:
    """Move an engine to its place, what belongs to it first: where it is seen, its sidecar is."""
    beside = [file for file in draft.parent.iterdir() if file.name.startswith(f"{draft.name}.")]
    with writing(path):
        for file in (*beside, draft):
            publish(file, path.parent / file.name)


def _repository(request: Request, artifact: Artifact) -> tuple[Deployed, dict[str, Any]]:
    from export.triton import TritonSettings, write_repository

    name = request.artifact.resolve().name
    settings = TritonSettings(name=name, max_batch=request.batches[2])
    with scratch() as folder:
        source = folder / f"{name}.onnx"
        deployed = _deployed(request, artifact, source)
        written = write_repository(source, request.output, settings)
    return deployed, {"repository": str(written)}


_FORMATS: Final[dict[str, Callable[[Request, Artifact], tuple[Deployed, dict[str, Any]]]]] = {
    "onnx": _onnx,
    "tensorrt": _engine,
    "triton": _repository,
}


def _served(request: Request) -> tuple[int, ...]:
    """Return the batches at which a file is compared: those that it is built or served for."""
    if request.format == "onnx":
        return SERVED_BATCHES
    served = request.batches if request.format == "tensorrt" else (1, 2, max(1, request.batches[2]))
    return tuple(dict.fromkeys(served))


def _settings(request: Request, artifact: Artifact) -> DeploySettings:
    return DeploySettings(
        precision=request.precision,
        align=request.align,
        form=request.form,
        device="cpu" if request.target == "cpu" else "cuda",
        threads=request.threads,
        int8=Int8Settings(runtime=request.target, method=request.calib_method, keep=request.keep),
        calibration=_calibration(request, artifact) if request.precision == "int8" else None,
        keep=request.keep,
        batches=_served(request),
    )


def _calibration(request: Request, artifact: Artifact) -> Calibration:
    assert request.calib is not None
    data = artifact.task.data.open(request.calib, artifact.input, artifact.module)
    if data.synthetic:
        output.say("ranges come from synthetic images: accuracy will mean nothing")
    if request.auto is not None and data.val_caution:
        output.say(f"note on validation: {data.val_caution}")

    return calibration_on(
        data, artifact.input, images=request.calib_images, limit=request.auto, threads=request.threads
    )


def _document(request: Request, artifact: Artifact, deployed: Deployed) -> dict[str, Any]:
    file, parity = deployed.file, deployed.parity
    return {
        "file": str(request.output), "format": request.format, "precision": request.precision,
        "opset": file.opset, "nodes": file.nodes, "bytes": file.bytes, "sha256": file.sha256,
        "artifact": artifact.digest(),
        "parity": {
            "max_relative_difference": parity.max_relative_difference, "limit": parity.limit,
            "cases": len(parity.cases), "detections": parity.detections,
        },
        "aligned": encode(deployed.aligned) if deployed.aligned else None,
        "layers": encode(deployed.precision) if deployed.precision else None,
        "int8_auto": _auto(deployed.auto) if deployed.auto else None,
    }  # fmt: skip


def _auto(report: AutoReport) -> Json:
    """Return the report as JSON, which has no infinity: null where int8 changes nothing, or everything."""
    document = encode(report)
    for layer in document["ranking"]:
        layer["sqnr_db"] = layer["sqnr_db"] if isfinite(layer["sqnr_db"]) else None
    return document


def _sentences(request: Request, deployed: Deployed) -> list[str]:
    file = deployed.file
    said = [
        f"{request.output}: {request.precision}, opset {file.opset}, {file.nodes} nodes, "
        f"{file.bytes / 1e6:.2f} MB, batch {deployed.inputs.max_batch or 'dynamic'}",
        deployed.parity.describe(),
    ]
    if deployed.companion and request.format == "onnx":
        said.append(f"{deployed.companion} decodes its outputs; it needs NumPy only")
    if deployed.precision:
        layers = deployed.precision
        said.append(f"{layers.converted} of {layers.nodes} layers compute in {layers.precision}")
    if deployed.auto:
        auto = deployed.auto
        said.append(
            f"validation {auto.fp32_score:.2f} % in fp32, {auto.int8_score:.2f} % in int8 with "
            f"{len(auto.kept_float)} layers kept float (allowed: {auto.limit} points less)"
        )
    if deployed.aligned:
        padded, left = deployed.aligned.padded, deployed.aligned.left
        growth = deployed.aligned.macs_after / deployed.aligned.macs_before - 1
        said.append(
            f"{len(padded)} groups padded to multiples of {deployed.aligned.multiple} ({growth:+.1%} MACs), "
            f"{len(left)} left as they are"
        )
    return said
