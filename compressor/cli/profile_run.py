"""What ``compress profile`` does: give every model the form its backend opens, profile, report."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.candidates import Candidate
from bench.environment import environment
from bench.layers.here import here
from bench.layers.make import measured_table
from bench.layers.names import own_names
from bench.layers.show import shown
from bench.layers.table import LatencyTable
from bench.profile.document import notes_of, profiles_to_json
from bench.profile.run import Profile, ProfileSettings, profiles_of
from bench.profile.runtimes import profiler_of
from bench.profile.table import tables
from compressor.artifact import Artifact
from compressor.base.documents import write_json
from compressor.base.errors import UsageError
from compressor.base.files import require_free, scratch
from compressor.base.locks import owned
from compressor.base.text import foreign
from compressor.cli import output
from compressor.cli.beside import Beside
from export.backends import BACKENDS, require_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress profile``, as typed."""

    models: Beside
    backend: str
    batch: int
    seconds: float
    rows: int
    json: bool
    save: Path | None
    table: Path | None = None


def run(request: Request) -> None:
    """Carry out a request and print its result.

    Raises:
        UsageError: a model that cannot be profiled so, or two of the same name.
    """
    for path, option in ((request.save, "-o"), (request.table, "--table")):
        if path:
            require_free(path, option)
    names = request.models.names
    if request.table and len(names) > 1:
        raise UsageError("--table is of one model", "give one MODEL, or leave --table out.")
    if len(set(names)) < len(names):
        raise UsageError(f"{foreign(names[0])} twice", "give two models, or one.")
    require_device(BACKENDS.get(request.backend), profiler_of(request.backend).device)
    with owned(request.save) if request.save else nullcontext(), scratch() as folder:
        sources = request.models.sources()
        candidates = [
            request.models.candidate(name, source, request.backend, folder)
            for name, source in sources.items()
        ]
        profiles = _profiled(request, candidates)
        document = profiles_to_json(profiles, environment())
        if request.save:
            write_json(request.save, document)
        layers = _table(request, sources[names[0]], candidates[0]) if request.table else None
    if request.json:
        output.print_json(document)
    else:
        over_widths = () if layers is None else (shown(layers, request.rows),)
        output.show(*tables(profiles, request.rows), *over_widths, *notes_of(profiles))


def _table(request: Request, source: Path | Artifact, model: Candidate) -> LatencyTable:
    """Measure the layers of a model over widths, and write the table."""
    assert request.table is not None
    where = here(
        request.backend, threads=request.models.threads, batch=request.batch, precision=model.precision
    )
    known = own_names(source) if isinstance(source, Artifact) else {}
    table = measured_table(model.name, model, where, known, say=output.say)
    table.save(request.table)
    return table


def _profiled(request: Request, candidates: list[Candidate]) -> list[Profile]:
    models, backend = request.models, request.backend
    settings = ProfileSettings(
        backend=backend, threads=models.threads, batch=request.batch, seconds=request.seconds,
        seed=models.seed,
    )  # fmt: skip
    return profiles_of(candidates, settings, output.say)
