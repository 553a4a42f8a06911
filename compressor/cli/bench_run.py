"""What ``compress bench`` does: give every model the form its backend opens, measure, report."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from bench.candidates import Candidate, candidate, file_candidate
from bench.comparison import BenchReport
from bench.conditions import spanning
from bench.document import report_to_json
from bench.halt import Halt
from bench.job import Job, Load
from bench.measure import MeasureSettings
from bench.modes import MODES
from bench.profile.run import ProfileSettings
from bench.run import carry_out
from bench.table import render
from compressor.artifact import Artifact, architecture_of, is_artifact, opening, read_manifest
from compressor.artifact.opening import Levers
from compressor.base.documents import write_json
from compressor.base.files import require_free, scratch
from compressor.base.locks import owned
from compressor.base.text import foreign
from compressor.cli import bench_why, output
from compressor.cli.bench_progress import telling
from compressor.cli.process import Interrupted
from compressor.cli.sources import announce, open_model, parse_shapes, trust_in, wanted
from compressor.zoo import Trust
from export.backends import BACKENDS, SessionOptions, file_suffixes, require_device
from export.metadata import read_exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress bench``, as typed."""

    models: tuple[str, ...]
    backends: tuple[str, ...]
    batches: tuple[int, ...] | None
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
    mode: str = "latency"
    data: str | None = None
    rate_per_s: float | None = None
    p99_ms: float | None = None
    queries: int | None = None
    why: bool = False

    @property
    def load(self) -> Load:
        """What a server is asked for."""
        return Load(rate_per_s=self.rate_per_s, p99_ms=self.p99_ms, queries=self.queries)

    @property
    def trust(self) -> Trust:
        """Whose code may run."""
        return trust_in(self.models, everything=self.trust_code)


def run(request: Request) -> None:
    """Carry out a request and print its result; what an interruption left is printed as well.

    Raises:
        typer.Exit: with 130, it was interrupted after something had been measured.
        Interrupted: nothing had been.
    """
    halt = Halt(by=(Interrupted, KeyboardInterrupt))
    if request.save:
        require_free(request.save, "--save")
    MODES.get(request.mode).batches(request.batches, request.load)  # refuses before anything is exported
    for name in request.backends:
        require_device(BACKENDS.get(name), request.device)
    if request.why:
        bench_why.require(request.backends, request.device)
    with owned(request.save) if request.save else nullcontext(), scratch() as folder:
        sources = sources_of(request)
        report = _report(request, sources, folder, halt)
        document = report_to_json(report)
        reasons = _reasons(request, sources, report, folder)
        document |= bench_why.document(reasons) if request.why else {}
        if request.save:
            write_json(request.save, document)
    if request.json:
        output.print_json(document)
    else:
        output.show(render(report), *(bench_why.tables(reasons) if request.why else ()))
    if report.partial:
        output.say("Interrupted: this is what was measured until then.")
        raise typer.Exit(130)


def _report(
    request: Request, sources: Mapping[str, Path | Artifact], scratch: Path, halt: Halt
) -> BenchReport:
    reports = []
    with halt.guard():
        for name in request.backends:
            reports.append(_measured(request, sources, name, scratch, halt))
            if halt.asked:
                break
    kept = [report for report in reports if not report.empty]
    if not kept:
        raise Interrupted
    return replace(joined(kept), partial=halt.asked)


def _reasons(
    request: Request, sources: Mapping[str, Path | Artifact], report: BenchReport, scratch: Path
) -> tuple[bench_why.Finding, ...]:
    if not request.why or report.partial:
        return ()
    settings = ProfileSettings(
        backend=request.backends[0], threads=request.threads, seconds=request.budget_s, seed=request.seed
    )
    return bench_why.found(
        report, lambda name, backend: candidate_of(name, sources[name], backend, request, scratch), settings
    )


def sources_of(request: Request) -> dict[str, Path | Artifact]:
    """Open what was typed: files as they are, and artifacts; names follow the input of others."""
    followed = replace(request, followed=_followed(request))
    return {name: _source(name, followed) for name in request.models}


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
    if path.suffix in file_suffixes() and path.is_file():
        file = read_exported(path)
        said = file.said_input
        return file.task.serving.shapes(said) if said else ()
    if not is_artifact(path):
        return ()
    return read_manifest(path, trust).input.shapes


def joined(reports: Sequence[BenchReport]) -> BenchReport:
    """Return one report with the results of several."""
    return replace(
        reports[0],
        results=tuple(r for report in reports for r in report.results),
        comparisons=tuple(c for report in reports for c in report.comparisons),
        served=tuple(s for report in reports for s in report.served),
        searches=tuple(s for report in reports for s in report.searches),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
        conditions=spanning([report.conditions for report in reports if report.conditions]),
    )


def _measured(
    request: Request, sources: Mapping[str, Path | Artifact], backend: str, scratch: Path, halt: Halt
) -> BenchReport:
    candidates = [candidate_of(name, sources[name], backend, request, scratch) for name in request.models]
    options = SessionOptions(device=request.device, threads=request.threads, trust=request.trust)
    with telling(backend) as (progress, say):
        job = Job(
            models=tuple(candidates), backend=backend, options=options, batches=request.batches,
            settings=MeasureSettings(budget_s=request.budget_s), seed=request.seed, data=request.data,
            load=request.load, progress=progress, say=say, halt=halt,
        )  # fmt: skip
        return carry_out(job, request.mode)


def candidate_of(
    name: str, source: Path | Artifact, backend: str, request: Request, scratch: Path
) -> Candidate:
    """Return a model in the form that a backend opens."""
    opener = BACKENDS.get(backend)
    if isinstance(source, Path):
        return file_candidate(source, opener, parse_shapes(request.shape) if request.shape else None)
    return candidate(name, source, opener, scratch, threads=request.threads, say=output.say)


def _source(name: str, request: Request) -> Path | Artifact:
    """Return a file, an artifact, or an unpruned model, whose speed does not depend on its weights."""
    path = Path(name)
    if path.suffix in file_suffixes():
        return path
    if not is_artifact(path):
        dense = open_model(name, None, None, request.followed, trust=request.trust, seed=request.seed)
        output.say(f"{name}: {dense.manifest.weights_from}")
        return dense
    # a detector's input and numbers of boxes may be set anew; of other artifacts --input is not meant
    resizable = architecture_of(announce(path, request.trust)).levers
    shape, levers = (request.shape, request.levers) if resizable else (None, {})
    return opening.open_model(name, wanted(shape=shape, levers=levers, trust=request.trust))
