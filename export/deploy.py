"""From an artifact to a file that was compared with PyTorch; a file that fails is not left behind.

Widths are aligned first, on the model; precision is lowered last, in the file. The comparison is with the
artifact's own model, so that it covers both.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

from torch import nn

from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.base.files import file_digest, publish, temporary_folder, writing
from compressor.base.locks import owned
from compressor.base.pace import Say, unheard
from compressor.steps.align import AlignReport, default_multiple, pad_to_multiple
from compressor.tasks.opened import Images, Pair, Precision
from compressor.tasks.parity import MIN_CASES, SERVED_BATCHES, ParityReport
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.metadata import metadata_of
from export.onnx_files import require_free
from export.precision import AutoReport, Int8Settings, PrecisionReport, int8_auto, to_fp16, to_int8
from export.precision.calibration import Feeds
from export.proof import OpenedFile
from export.to_onnx import OnnxFile, export_onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What quantisation learns from and is judged by.

    Attributes:
        batches: inputs of the file, from the training split; may be read more than once.
        score: accuracy of a file on the validation split, percent.
        limit: percentage points that accuracy may fall; layers stay float until it holds. None keeps the
            first and the last layer float and judges nothing.
    """

    batches: Iterable[Feeds]
    score: Callable[[Path], float] | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """How a file is made.

    Attributes:
        precision: of the layers; inputs and outputs are fp32.
        align: widths are padded to multiples of this; 1 pads nothing, None takes the device's own.
        form: which of the architecture's forms is exported; None for the usual one.
        device: ``cpu`` or ``cuda``, where the file will run.
        threads: of the comparison.
        int8: how to quantise.
        calibration: needed for int8.
        keep: glob patterns of modules that stay fp32 in fp16.
        batches: numbers of images in a call at which the file is compared, the most that is served among
            them.
    """

    precision: Precision = "fp32"
    align: int | None = 1
    form: str | None = None
    device: str = "cpu"
    threads: int | None = None
    int8: Int8Settings = field(default_factory=Int8Settings)
    calibration: Calibration | None = None
    keep: tuple[str, ...] = ()
    batches: tuple[int, ...] = SERVED_BATCHES


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A finished file and the proofs that it is what it says.

    Attributes:
        file: on disk.
        parity: comparison with PyTorch.
        inputs: what the file takes.
        companion: Python file beside it that decodes its outputs, or None.
        aligned: what padding did, or None.
        precision: which layers compute in fewer bits, or None for fp32.
        auto: how the float layers were found, or None.
    """

    file: OnnxFile
    parity: ParityReport
    inputs: InputSpec
    companion: Path | None = None
    aligned: AlignReport | None = None
    precision: PrecisionReport | None = None
    auto: AutoReport | None = None


_STANDARD: Final = DeploySettings()


def deploy(
    artifact: Artifact,
    path: Path,
    settings: DeploySettings = _STANDARD,
    *,
    say: Say = unheard,
) -> Deployed:
    """Export a model and prove that the file computes the same.

    Args:
        artifact: what is exported.
        path: the file to write.
        settings: what is wanted of it.
        say: told what is being done, before every step that takes its time.

    Raises:
        ParityError: the file differs from PyTorch beyond the limit of its precision, or int8 costs more
            accuracy than allowed; nothing is left behind.
        UsageError: ``path`` exists, or int8 was asked for without calibration images.
    """
    require_free(path)
    wide, aligned = _aligned(artifact, settings, say)
    module, inputs = wide.deployed(settings.form)
    metadata = metadata_of(artifact, inputs) | _said(settings, aligned)
    with owned(path), temporary_folder(path.parent) as folder:
        require_free(path)  # again, now that nobody else writes it
        name = str(folder)
        say("exporting to ONNX")
        plain = export_onnx(module, inputs, _room(name, "fp32", path), metadata=metadata)
        draft, precision, auto = _CONVERSIONS[settings.precision](plain.path, settings, say)
        say("comparing with PyTorch")
        parity = compared(artifact, draft, settings, exported=module)
        files = _moved(draft, path)
    companion = _shipped(artifact.task.serving.companion, path)
    size = sum(file.stat().st_size for file in files)
    file = replace(plain, path=path, bytes=size, sha256=file_digest(*files))
    return Deployed(
        file=file, parity=parity, inputs=inputs, companion=companion, aligned=aligned,
        precision=precision, auto=auto,
    )  # fmt: skip


def _room(folder: str, kind: str, path: Path) -> Path:
    """Return where a draft goes: under the final name, which files of weights refer to."""
    room = Path(folder) / kind
    room.mkdir()
    return room / path.name


def _aligned(artifact: Artifact, settings: DeploySettings, say: Say) -> tuple[Artifact, AlignReport | None]:
    multiple = settings.align or default_multiple(settings.precision, settings.device)
    if multiple == 1:
        return artifact, None
    say("padding widths")
    view = artifact.arch.view
    wide, report = pad_to_multiple(artifact.module, artifact.example(), multiple, view=view)
    return replace(artifact, module=wide), report


def _said(settings: DeploySettings, aligned: AlignReport | None) -> dict[str, str]:
    """Return what the file says of how it was made."""
    said: dict[str, str] = {"compress.precision": settings.precision}
    if aligned and aligned.padded:
        widths = {group.name: [group.before, group.after] for group in aligned.padded}
        said["compress.padded"] = json.dumps(widths)
    return said


Converted = tuple[Path, PrecisionReport | None, AutoReport | None]


def _as_it_is(source: Path, settings: DeploySettings, say: Say) -> Converted:
    return source, None, None


def _halved(source: Path, settings: DeploySettings, say: Say) -> Converted:
    say("converting to fp16")
    draft = _room(str(source.parent), "fp16", source)
    return draft, to_fp16(source, draft, keep=settings.keep), None


def _quantised(source: Path, settings: DeploySettings, say: Say) -> Converted:
    calibration = settings.calibration
    if calibration is None:
        raise UsageError("int8 needs images to measure ranges on", "give --calib DATASET.")
    say("converting to int8")
    draft = _room(str(source.parent), "int8", source)
    if calibration.limit is None or calibration.score is None:
        return draft, to_int8(source, draft, calibration.batches, settings.int8), None
    chosen = replace(settings.int8, keep_ends=False)
    found = int8_auto(
        source, draft, calibration.batches, calibration.score, calibration.limit, settings=chosen,
        progress=lambda what, done, total: say(f"{what} {done} of {total}"),
    )  # fmt: skip
    return draft, found.precision, found


_CONVERSIONS: Final[dict[str, Callable[[Path, DeploySettings, Say], Converted]]] = {
    "fp32": _as_it_is,
    "fp16": _halved,
    "int8": _quantised,
}


def compared(
    artifact: Artifact,
    file: Path,
    settings: DeploySettings,
    runtime: str = "onnxruntime",
    *,
    exported: nn.Module | None = None,
) -> ParityReport:
    """Compare a file with PyTorch, opened by the runtime that will run it.

    Args:
        artifact: what was exported.
        file: what ``runtime`` opens.
        settings: with which the file was made.
        runtime: name of the backend.
        exported: what was written, with padded widths, for files that are compared stage by stage; padding
            was held against the model before.

    Raises:
        ParityError: they differ beyond the limit of the precision.
        BackendMissingError: the runtime is not usable here.
    """
    options = SessionOptions(threads=settings.threads)
    there = replace(options, device="cuda") if runtime == "tensorrt" else options
    reference, inputs = artifact.deployed(settings.form)
    pair = Pair(
        inputs=inputs, precision=settings.precision, batches=settings.batches, exported=exported or reference
    )
    images: Images | None = None
    if settings.calibration:
        batches = islice(settings.calibration.batches, MIN_CASES)
        images = (feed if isinstance(feed, tuple) else (feed,) for feed in batches)
    with (
        TorchSession(reference, inputs, options) as expected,
        BACKENDS.get(runtime).open(file, there) as session,
    ):
        found = OpenedFile(session=session, path=file)
        return artifact.task.serving.compare(expected, found, pair, images)


def _shipped(companion: Path | None, path: Path) -> Path | None:
    """Copy what decodes the outputs beside the file; it needs NumPy and nothing else."""
    if companion is None:
        return None
    target = path.with_name(f"{path.stem}_{companion.name}")
    shutil.copyfile(companion, target)
    return target


def _moved(draft: Path, path: Path) -> tuple[Path, ...]:
    """Move a finished file to its place, weights first; return the graph, then the weights."""
    weights = draft.with_name(f"{draft.name}.data")
    found = [file for file in (weights, draft) if file.exists()]
    with writing(path):
        for file in found:
            publish(file, path.parent / file.name)
    return tuple(path.parent / file.name for file in reversed(found))
