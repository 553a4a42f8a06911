"""What ``compress detect`` does: open the detectors, run every picture through each, draw, write, report."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from compressor.cli import output
from compressor.cli.sources import open_device, open_model
from compressor.errors import CompressError, UsageError
from compressor.training import TASKS
from detection.drawing import Namer, beside, captioned, coco_names, draw
from detection.media import VIDEO_SUFFIXES, Picture, VideoWriter, frame_rate, pictures, save_picture
from detection.predict import detect
from detection.task import classes_of
from detection.types import Detections
from export.backends import BACKENDS, SessionOptions, require_device
from export.metadata import TASK, read_input, read_metadata

_AVERAGED = 20  # frames over which the overlaid rate is averaged


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


@dataclass(slots=True)
class _Runner:
    """A detector with what it did so far."""

    label: str
    model: nn.Module
    name: Namer
    seconds: list[float] = field(default_factory=list)
    detections: int = 0

    def __call__(self, pixels: Tensor) -> Detections:
        start = time.perf_counter()
        (found,) = detect(self.model, [pixels.to(_device_of(self.model)).float() / 255])
        self.seconds.append(time.perf_counter() - start)
        self.detections += len(found)
        return found

    def caption(self) -> str:
        recent = self.seconds[-_AVERAGED:]
        return f"{self.label}  {len(recent) / sum(recent):.1f} FPS"

    def summary(self) -> dict[str, Any]:
        frames = len(self.seconds)
        rate = frames / sum(self.seconds) if frames else 0.0
        return {"model": self.label, "pictures": frames, "detections": self.detections, "fps": rate}


def run(request: Request) -> None:
    """Carry out a request and print its result."""
    _check_output(request)
    with ExitStack() as stack:
        runners = [stack.enter_context(_opened(request, name)) for name in request.models]
        skipped = list(_written(request, runners))
    document = {
        "output": str(request.output),
        "models": [runner.summary() for runner in runners],
        "skipped": [{"picture": one.name, "problem": one.problem} for one in skipped],
    }
    if request.json:
        output.print_json(document)
        return
    for runner in runners:
        found = runner.summary()
        output.show(
            f"{found['model']}: {found['detections']} detections in {found['pictures']} pictures, "
            f"{found['fps']:.2f} pictures per second, resizing included"
        )
    for one in skipped:
        output.show(f"skipped {one.name}: {one.problem}")
    output.show(f"written: {request.output}")


def _check_output(request: Request) -> None:
    """Refuse a kind of output that does not fit the kind of source."""
    many = request.source.is_dir()
    video = request.source.suffix.lower() in VIDEO_SUFFIXES and not many
    if video != (request.output.suffix.lower() in VIDEO_SUFFIXES) or (many and request.output.suffix):
        wanted = "a folder" if many else "a video, for instance found.mp4" if video else "an image"
        raise UsageError(
            f"{request.output} does not fit {request.source}",
            f"give -o {wanted}: as many pictures as there are.",
        )


@contextmanager
def _opened(request: Request, name: str) -> Iterator[_Runner]:
    path = Path(name)
    if path.suffix != ".onnx":
        source = open_model(name, None, None, request.shape)
        if source.arch.task != "detection":
            raise UsageError(f"{name} is no detector", "compress eval scores classifiers.")
        model = source.model.to(open_device(request.device))
        yield _Runner(label=name, model=model, name=_namer(request, model))
        return
    properties = read_metadata(path)
    if properties.get(TASK) != "detection":
        raise UsageError(f"{name} is no detector of ours", "export one with compress export.")
    backend = BACKENDS.get(request.backend or "onnxruntime")
    require_device(backend, request.device)
    options = SessionOptions(device=request.device, threads=request.threads)
    with backend.open(path, options) as session:
        inputs = read_input(path)
        model = TASKS.get("detection").remote(session.run, session.input_names, inputs, properties)
        yield _Runner(label=name, model=model, name=_namer(request, model))


def _namer(request: Request, model: nn.Module) -> Namer:
    names: Sequence[str] = coco_names(classes_of(model))
    if request.names:
        try:
            names = request.names.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {request.names}: {error}", "give a text file of names.") from error
    return lambda label: names[label] if label < len(names) else str(label)


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _written(request: Request, runners: Sequence[_Runner]) -> Iterator[Picture]:
    """Draw and write everything; yield what was skipped."""
    done = 0
    with _sink(request) as write, _progress() as advance:
        for picture in pictures(request.source):
            advance()
            if picture.pixels is None:
                yield picture
                continue
            write(picture.name, _drawn(picture.pixels, runners, request.min_score))
            done += 1
    if not done:
        raise UsageError(f"nothing in {request.source} could be read", "check the files.")


def _drawn(pixels: Tensor, runners: Sequence[_Runner], min_score: float) -> Tensor:
    results = [draw(pixels, runner(pixels), runner.name, min_score=min_score) for runner in runners]
    return beside(
        [captioned(image, runner.caption()) for image, runner in zip(results, runners, strict=True)]
    )


@contextmanager
def _sink(request: Request) -> Iterator[Any]:
    """Yield a function of (name, picture) that writes to the image, the folder or the video asked for."""
    if request.output.suffix.lower() in VIDEO_SUFFIXES:
        with VideoWriter(request.output, frame_rate(request.source)) as video:
            yield lambda name, picture: video.write(picture)
        return
    if not request.source.is_dir():
        yield lambda name, picture: save_picture(picture, request.output)
        return
    try:
        request.output.mkdir(parents=True)
    except OSError as error:
        raise CompressError(
            f"cannot make {request.output}: {error.strerror}", "choose another -o."
        ) from error
    yield lambda name, picture: save_picture(picture, request.output / Path(name).with_suffix(".png"))


@contextmanager
def _progress() -> Iterator[Any]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("pictures", total=None)
        yield lambda: bar.advance(task)
