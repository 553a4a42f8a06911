"""What ``compress bench`` does: give every model the form its backend opens, measure, report."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import typer

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
from compressor.base.documents import write_json
from compressor.base.files import require_free, scratch
from compressor.base.locks import owned
from compressor.cli import bench_why, output
from compressor.cli.bench_progress import telling
from compressor.cli.beside import Beside, Sources
from compressor.cli.process import Interrupted
from export.backends import BACKENDS, SessionOptions, require_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress bench``, as typed."""

    models: Beside
    backends: tuple[str, ...]
    batches: tuple[int, ...] | None
    device: str
    budget_s: float
    json: bool
    save: Path | None
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
        sources = request.models.sources()
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


def _report(request: Request, sources: Sources, scratch: Path, halt: Halt) -> BenchReport:
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
    request: Request, sources: Sources, report: BenchReport, scratch: Path
) -> tuple[bench_why.Finding, ...]:
    if not request.why or report.partial:
        return ()
    models = request.models
    settings = ProfileSettings(
        backend=request.backends[0], threads=models.threads, seconds=request.budget_s, seed=models.seed
    )
    return bench_why.found(
        report, lambda name, backend: models.candidate(name, sources[name], backend, scratch), settings
    )


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


def _measured(request: Request, sources: Sources, backend: str, scratch: Path, halt: Halt) -> BenchReport:
    models = request.models
    candidates = [models.candidate(name, sources[name], backend, scratch) for name in models.names]
    options = SessionOptions(device=request.device, threads=models.threads, trust=models.trust)
    with telling(backend) as (progress, say):
        job = Job(
            models=tuple(candidates), backend=backend, options=options, batches=request.batches,
            settings=MeasureSettings(budget_s=request.budget_s), seed=models.seed, data=request.data,
            load=request.load, progress=progress, say=say, halt=halt,
        )  # fmt: skip
        return carry_out(job, request.mode)
