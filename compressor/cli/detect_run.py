"""What ``compress detect`` does: open the detectors, run every picture through each, draw, write, report."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from compressor.base.devices import open_device
from compressor.base.documents import Json
from compressor.base.errors import UsageError
from compressor.cli import output
from compressor.cli.evaluate_run import say_remarks
from compressor.cli.sources import open_model, trust_in
from compressor.tasks.task import Task
from detection.drawing import beside, captioned, draw, usual_names
from detection.media import Picture, Reel, opened
from detection.predict import detect
from detection.task import classes_of, detects, task_of
from detection.types import Detections
from detection.writing import check_output, written
from export.backends import BACKENDS, SessionOptions, require_device, usual_backends
from export.metadata import TASK, read_exported

_AVERAGED: Final = 20  # pictures over which the overlaid rate is averaged
_LISTED: Final = 10  # problems that are told to people; --json has all


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress detect``, as typed."""

    models: tuple[str, ...]
    source: Path
    output: Path
    min_score: float
    names: Path | None
    backend: str | None
    shape: str | None
    device: str
    threads: int | None
    json: bool
    trust_code: bool


@dataclass(slots=True, kw_only=True)
class _Runner:
    """A detector with what it did so far."""

    label: str
    task: Task
    model: nn.Module
    device: torch.device
    names: Sequence[str]
    min_score: float
    seconds: list[float] = field(default_factory=list)
    detections: int = 0

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return a picture of what is found in uint8 (3, height, width), with the rate."""
        if not self.seconds:
            self._find(pixels)  # the first run sets up memory and kernels
        start = time.perf_counter()
        found = self._find(pixels)
        self.seconds.append(time.perf_counter() - start)
        self.detections += int((found.scores >= self.min_score).sum())
        recent = self.seconds[-_AVERAGED:]
        drawn = draw(pixels, found, self.names, min_score=self.min_score)
        return captioned(drawn, f"{len(recent) / sum(recent):.1f} FPS  {self.label}")

    def _find(self, pixels: Tensor) -> Detections:
        return detect(self.model, [pixels.to(self.device).float() / 255])[0]

    def summary(self) -> Json:
        rate = len(self.seconds) / sum(self.seconds)
        return {"model": self.label, "detections": self.detections, "fps": rate}


def run(request: Request) -> None:
    """Carry out a request and print its result."""
    with ExitStack() as stack:
        reel = stack.enter_context(opened(request.source))
        check_output(request.output, reel.kind)
        runners = [stack.enter_context(_runner(request, name)) for name in request.models]
        skipped = _drawn(request, reel, runners)
    for runner in runners:
        say_remarks(runner.label, runner.task, runner.model)
    document = {
        "output": str(request.output),
        "pictures": len(runners[0].seconds),
        "models": [runner.summary() for runner in runners],
        "skipped": [{"picture": picture.name, "problem": picture.problem} for picture in skipped],
    }
    if request.json:
        output.print_json(document)
    else:
        _show(document)


def _show(document: Json) -> None:
    for found in document["models"]:
        output.show(
            f"{found['model']}: {found['detections']} detections in {document['pictures']} pictures, "
            f"{found['fps']:.2f} pictures per second with resizing, without reading and drawing"
        )
    skipped = document["skipped"]
    if skipped:
        output.show(f"{len(skipped)} pictures could not be read:")
    for one in skipped[:_LISTED]:
        output.show(f"  {one['picture']}: {one['problem']}")
    if len(skipped) > _LISTED:
        output.show("  ... (--json lists all)")
    output.show(f"written: {document['output']}")


@contextmanager
def _runner(request: Request, name: str) -> Iterator[_Runner]:
    with _opened(request, name) as (task, model, device):
        names = _names(request.names, model)
        yield _Runner(
            label=name, task=task, model=model, device=device, names=names, min_score=request.min_score
        )


@contextmanager
def _opened(request: Request, name: str) -> Iterator[tuple[Task, nn.Module, torch.device]]:
    """Yield the task of a detector, the detector in evaluation mode, and where its images must lie."""
    options = SessionOptions(device=request.device, threads=request.threads)
    if Path(name).suffix == ".onnx":
        with _session(Path(name), request, options) as (task, model):
            yield task, model, torch.device("cpu")
        return
    if request.backend not in (None, "torch"):
        raise UsageError(
            f"backend {request.backend} does not run {name}", "export it first: compress export."
        )
    device = open_device(request.device)
    source = open_model(
        name, None, None, request.shape, trust=trust_in(request.models, everything=request.trust_code)
    )
    if not detects(source.arch.task):
        raise UsageError(f"{name} is no detector", "give a detector; compress eval scores classifiers.")
    if not source.stored:
        output.say(f"{name}: {source.manifest.weights_from}")
    with _torch_threads(options.threads):
        yield source.task, source.module.to(device), device


@contextmanager
def _session(path: Path, request: Request, options: SessionOptions) -> Iterator[tuple[Task, nn.Module]]:
    if request.shape:
        raise UsageError(f"{path} has its own input size", "leave out --input, or export it anew.")
    file = read_exported(path)
    if not detects(file.properties.get(TASK, "")):
        raise UsageError(f"{path} is no detector of ours", "export a detector with compress export.")
    backend = BACKENDS.get(request.backend or usual_backends()[path.suffix])
    if backend.suffix != ".onnx":
        raise UsageError(f"backend {backend.name} does not run {path}", "leave out --backend.")
    require_device(backend, options.device)
    with backend.open(path, options) as session:
        remote = file.task.serving.remote
        yield file.task, remote(session.run, session.input_names, file.input(), file.properties)


@contextmanager
def _torch_threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _names(path: Path | None, model: nn.Module) -> Sequence[str]:
    classes = classes_of(model)
    if path is None:
        return usual_names(classes, task_of(model))
    try:
        names = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # as other programs count lines
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", "give a text file of names.") from error
    if len(names) != classes:
        raise UsageError(
            f"{path} has {len(names)} lines, the model has {classes} classes",
            "give one line per class; the first is the background.",
        )
    return names


def _drawn(request: Request, reel: Reel, runners: Sequence[_Runner]) -> list[Picture]:
    """Draw and write everything; return what was skipped."""
    skipped = []
    with written(request.output, reel) as write, _progress(reel.count) as advance:
        for picture in reel.pictures:
            if picture.pixels is None:
                skipped.append(picture)
            else:
                write(picture.name, beside([runner(picture.pixels) for runner in runners]))
            advance()
        if not runners[0].seconds:
            problem = skipped[0].problem if skipped else "it is empty"
            raise UsageError(f"nothing in {request.source} can be read: {problem}", "check the files.")
    return skipped


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[], Any]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("pictures", total=total)
        yield lambda: bar.advance(task)
