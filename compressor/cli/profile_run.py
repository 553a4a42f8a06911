"""What ``compress profile`` does: give every model the form its backend opens, profile, report."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.environment import environment
from bench.profile.document import notes_of, profiles_to_json
from bench.profile.run import Profile, ProfileSettings, profiles_of
from bench.profile.runtimes import profiler_of
from bench.profile.table import tables
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


def run(request: Request) -> None:
    """Carry out a request and print its result.

    Raises:
        UsageError: a model that cannot be profiled so, or two of the same name.
    """
    if request.save:
        require_free(request.save)
    names = request.models.names
    if len(set(names)) < len(names):
        raise UsageError(f"{foreign(names[0])} twice", "give two models, or one.")
    profiler_of(request.backend)
    require_device(BACKENDS.get(request.backend), "cpu")
    with owned(request.save) if request.save else nullcontext(), scratch() as folder:
        profiles = _profiled(request, folder)
        document = profiles_to_json(profiles, environment())
        if request.save:
            write_json(request.save, document)
    if request.json:
        output.print_json(document)
    else:
        output.show(*tables(profiles, request.rows), *notes_of(profiles))


def _profiled(request: Request, folder: Path) -> list[Profile]:
    models, backend = request.models, request.backend
    candidates = [
        models.candidate(name, source, backend, folder) for name, source in models.sources().items()
    ]
    settings = ProfileSettings(
        backend=backend, threads=models.threads, batch=request.batch, seconds=request.seconds,
        seed=models.seed,
    )  # fmt: skip
    return profiles_of(candidates, settings, output.say)
