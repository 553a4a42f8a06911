"""What ``compress bench`` does: give every model the form its backend opens, measure, report."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench.comparison import BenchReport
from bench.document import report_to_json
from bench.measure import MeasureSettings
from bench.run import Candidate
from bench.run import bench as measure_models
from bench.table import render
from compressor.artifact import architecture_of, is_artifact, read_manifest, save_artifact, unpruned
from compressor.base.documents import write_json
from compressor.base.files import exists, scratch
from compressor.base.locks import owned
from compressor.base.text import foreign
from compressor.cli import output
from compressor.cli.sources import Levers, announce, open_model, opened, parse_shapes, trust_in
from compressor.errors import UsageError
from compressor.zoo import Trust
from export.backends import BACKENDS, SessionOptions, require_device
from export.deploy import DeploySettings, deploy
from export.metadata import input_of, read_input, read_precision, read_properties, said_input, task_of
from export.to_onnx import file_digest

_FILES = (".onnx", ".engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress bench``, as typed."""

    models: tuple[str, ...]
    backends: tuple[str, ...]
    batches: tuple[int, ...]
    threads: int | None
    device: str
    budget_s: float
    shape: str | None
    levers: Levers
    seed: int
    json: bool
    trust_code: bool
    save: Path | None
    followed: str | None = None

    @property
    def trust(self) -> Trust:
        """Whose code may run."""
        return trust_in(self.models, everything=self.trust_code)


def run(request: Request) -> None:
    """Carry out a request and print its result."""
    for path in filter(is_artifact, map(Path, request.models)):
        announce(path, request.trust)  # once, however many backends open it
    request = replace(request, followed=_followed(request))
    if request.save and exists(request.save):
        raise UsageError(f"{request.save} exists", "choose another --save, or remove it first.")
    for name in request.backends:
        require_device(BACKENDS.get(name), request.device)
    with owned(request.save) if request.save else nullcontext(), scratch() as folder:
        report = joined([_measured(request, name, folder) for name in request.backends])
        document = report_to_json(report)
        if request.save:
            write_json(request.save, document)
    if request.json:
        output.print_json(document)
    else:
        output.show(render(report))


def _followed(request: Request) -> str | None:
    """Return the input that names and factories are built for: of ``--input``, or of files beside them."""
    if request.shape:
        return request.shape
    fixed = {name: found for name in request.models if (found := _fixed(name, request.trust))}
    free = [name for name in request.models if name not in fixed]
    if not fixed or not free:
        return None
    leader, shapes = next(iter(fixed.items()))
    text = ",".join("x".join(map(str, shape)) for shape in shapes)
    output.say(f"{', '.join(map(foreign, free))} at {text}, as {foreign(leader)} takes")
    return text


def _fixed(name: str, trust: Trust) -> tuple[tuple[int, ...], ...]:
    """Return the shapes that a file or artifact takes and that cannot follow others; nothing for names."""
    path = Path(name)
    if path.suffix in _FILES and path.is_file():
        properties = read_properties(path)
        inputs = said_input(path, properties)
        if inputs is None:
            return ()
        return task_of(properties).serving.shapes(inputs)
    if not is_artifact(path):
        return ()
    return read_manifest(path, trust).input.shapes


def joined(reports: Sequence[BenchReport]) -> BenchReport:
    """Return one report with the results of several."""
    return replace(
        reports[0],
        results=tuple(r for report in reports for r in report.results),
        comparisons=tuple(c for report in reports for c in report.comparisons),
    )


def _measured(request: Request, backend: str, scratch: Path) -> BenchReport:
    suffix = BACKENDS.get(backend).suffix
    candidates = [_candidate(name, suffix, request, scratch) for name in request.models]
    options = SessionOptions(device=request.device, threads=request.threads, trust=request.trust)
    with Progress(
        console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal
    ) as bar:
        task = bar.add_task(backend)
        return measure_models(
            candidates, backend=backend, options=options, batches=request.batches,
            settings=MeasureSettings(budget_s=request.budget_s), seed=request.seed,
            progress=lambda what, done, total: bar.update(
                task, description=escape(foreign(what)), completed=done, total=total
            ),
        )  # fmt: skip


def _candidate(name: str, suffix: str, request: Request, scratch: Path) -> Candidate:
    """Return a model in the form that files of ``suffix`` have, made on the way where it has another."""
    path = Path(name)
    if path.suffix in _FILES:
        return _file(path, suffix, request.shape)
    folder = path if is_artifact(path) else _dense(name, request, scratch)
    # a detector's input and numbers of boxes may be set anew; of other artifacts --input is not meant
    resizable = architecture_of(read_manifest(folder, request.trust)).levers
    shape, levers = (request.shape, request.levers) if resizable else (None, {})
    model, manifest = opened(folder, shape, levers, request.trust)
    if suffix == ".onnx":
        file = scratch / f"{manifest.digest()[:16]}.onnx"
        if not file.exists():
            output.say(f"exporting {name}")
            deploy(model, manifest, file, DeploySettings(threads=request.threads, align=None))
        return Candidate(name=name, path=file, inputs=read_input(file), digest=file_digest(file))
    _, inputs = architecture_of(manifest).deployed(model, manifest.input)
    return Candidate(name=name, path=folder, inputs=inputs, digest=manifest.digest())


def _file(path: Path, suffix: str, shape: str | None) -> Candidate:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path, or export it: compress export.")
    if suffix != path.suffix:
        wanted = f"a {suffix} file" if suffix else "the artifact folder"
        raise UsageError(f"{path} is nothing that this backend opens", f"give {wanted}.")
    inputs = input_of(path, parse_shapes(shape) if shape else None)
    return Candidate(
        name=str(path), path=path, inputs=inputs, digest=file_digest(path), precision=read_precision(path)
    )


def _dense(name: str, request: Request, scratch: Path) -> Path:
    """Return an artifact of an unpruned model; speed does not depend on its random weights."""
    folder = scratch / name.replace(":", "_").replace("/", "_")
    if folder.exists():
        return folder
    source = open_model(name, None, None, request.followed, trust=request.trust, seed=request.seed)
    output.say(f"{name}: {source.weights}")
    manifest = unpruned(source.model, source.arch, weights_from=source.weights)
    save_artifact(source.model, manifest, folder)
    return folder
