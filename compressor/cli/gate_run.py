"""What ``compress gate`` does: open both models, measure, score, weigh, report, fail with exit code 3."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench.candidates import Candidate, require_same_inputs
from bench.gate.judge import Judged, judge
from bench.gate.report import Check, Outcome, judged_to_json, latency_check
from bench.gate.rounds import Pair, rounds_in_turn
from bench.gate.rule import LOOKS, Limits, OnOpen
from bench.statistics import significant
from compressor.api import evaluate
from compressor.artifact import is_artifact
from compressor.base.errors import UsageError
from compressor.base.files import scratch
from compressor.base.pace import Pace
from compressor.cli import output
from compressor.cli.beside import Beside, Sources
from compressor.cli.gate_output import Outputs, Result, finish
from compressor.tasks.scores import Score
from export.backends import BACKENDS, require_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress gate``, as typed."""

    models: Beside
    limits: Limits
    on_open: OnOpen
    backend: str
    batches: tuple[int, ...]
    device: str
    processes: int
    budget_s: float
    data: str | None
    max_drop: float
    max_bytes: int | None
    metrics: tuple[str, ...]
    outputs: Outputs

    @property
    def baseline(self) -> str:
        """Name of what may not be undercut."""
        return self.models.names[0]

    @property
    def candidate(self) -> str:
        """Name of what is tried, which may be the baseline's."""
        return self.models.names[-1]

    @property
    def itself(self) -> bool:
        """Whether a model is held against itself, which shows what this machine can tell."""
        return self.candidate == self.baseline

    @property
    def title(self) -> str:
        """Both models in words."""
        return f"{self.candidate} against {self.baseline}, {self.backend}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gated:
    """What came of all checks."""

    checks: tuple[Check, ...]
    latency: dict[int, dict[str, Judged]]
    scores: dict[str, Score]
    size_bytes: int


def run(request: Request) -> None:
    """Carry out a request and print its result.

    Raises:
        GateFailedError: a check failed; every report was written before.
    """
    for batch in request.batches:
        if batch < 1:
            raise UsageError(f"--batch {batch}", "give numbers from 1.")
    require_device(BACKENDS.get(request.backend), request.device)
    with scratch() as folder:
        gated = _gated(request, folder)
    document, remarks = _document(request, gated), _remarks(request, gated)
    result = Result(title=request.title, checks=gated.checks, document=document, remarks=remarks)
    finish(result, request.outputs)


def _gated(request: Request, folder: Path) -> _Gated:
    models = request.models
    sources = models.sources()
    found = {name: models.candidate(name, one, request.backend, folder) for name, one in sources.items()}
    _check_inputs(found[request.baseline], found[request.candidate])
    paths = {name: _path(one, folder, models.shape) for name, one in found.items()}
    checks, latency = [], {}
    for batch in request.batches:
        started = time.monotonic()
        latency[batch] = _measured(request, found[request.baseline], paths, batch)
        seconds = (time.monotonic() - started) / len(request.metrics)
        checks += [latency_check(batch, judged, seconds) for judged in latency[batch].values()]
    size = _size(paths[request.candidate])
    scores = _scores(request, sources)
    checks += [*_score_check(request, scores), *_size_check(request, size)]
    return _Gated(checks=tuple(checks), latency=latency, scores=scores, size_bytes=size)


def _check_inputs(baseline: Candidate, candidate: Candidate) -> None:
    require_same_inputs([baseline, candidate])
    if baseline.precision != candidate.precision:
        output.say(f"note: {baseline.precision} is held against {candidate.precision}")


def _path(found: Candidate, folder: Path, shape: str | None) -> Path:
    """Return what a fresh process opens."""
    if isinstance(found.source, Path):
        return found.source
    if shape is None and is_artifact(Path(found.name)):  # with an input set anew it is another model
        return Path(found.name)
    path = folder / f"live-{found.digest[:16]}"
    if not path.exists():
        found.source.save(path)
    return path


def _measured(request: Request, baseline: Candidate, paths: dict[str, Path], batch: int) -> dict[str, Judged]:
    models = request.models
    pair = Pair(
        baseline=paths[request.baseline], candidate=paths[request.candidate], inputs=baseline.inputs,
        backend=request.backend, device=request.device, threads=models.threads, batch=batch,
        budget_s=request.budget_s, trust=models.trust, seed=models.seed,
    )  # fmt: skip
    start = partial(rounds_in_turn, pair, request.processes)
    console = Console(stderr=True)
    with console.status(f"batch {batch}: starting {request.processes} processes") as status:
        say = _teller(batch, status.update if console.is_terminal else None)
        return judge(start, request.limits, on_open=request.on_open, metrics=request.metrics, progress=say)


def _teller(batch: int, update: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return what tells people how far it is: a moving line on a terminal, lines elsewhere."""
    pace = Pace()

    def say(words: str) -> None:
        if update is not None:
            update(escape(f"batch {batch}: {words}"))
        elif pace.due() or words.startswith("after"):
            pace.spoken()
            output.say(f"batch {batch}: {words}")

    return say


def _scores(request: Request, sources: Sources) -> dict[str, Score]:
    if request.data is None:
        return {}
    return {name: evaluate(source, request.data, device=request.device) for name, source in sources.items()}


def _score_check(request: Request, scores: dict[str, Score]) -> list[Check]:
    if not scores:
        return []
    before, after = (scores[name].quality for name in (request.baseline, request.candidate))
    words = f"{after:.2f} % against {before:.2f} %, may lose {request.max_drop:g} points"
    outcome: Outcome = "fail" if before - after > request.max_drop else "pass"
    return [Check(name=f"quality on {request.data}", outcome=outcome, words=words, seconds=0.0)]


def _size_check(request: Request, size_bytes: int) -> list[Check]:
    if request.max_bytes is None:
        return []
    words = f"{size_bytes / 1e6:.2f} MB, allowed {request.max_bytes / 1e6:.2f} MB"
    outcome: Outcome = "fail" if size_bytes > request.max_bytes else "pass"
    return [Check(name="size", outcome=outcome, words=words, seconds=0.0)]


def _size(path: Path) -> int:
    """Return the bytes of a file with its weights, or of the weights of an artifact."""
    beside = [path.with_name(f"{path.name}.data"), path / "model.safetensors"]
    files = [file for file in (path, *beside) if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _document(request: Request, gated: _Gated) -> dict[str, object]:
    latency = {
        f"batch {batch}, {judged.metric}": {"backend": request.backend, "batch": batch}
        | judged_to_json(judged)
        for batch, found in gated.latency.items()
        for judged in found.values()
    }
    return {
        "candidate": request.candidate,
        "baseline": request.baseline,
        "backend": request.backend,
        "latency": latency,
        "quality": {name: score.quality for name, score in gated.scores.items()},
        "size_bytes": gated.size_bytes,
    }


def _remarks(request: Request, gated: _Gated) -> list[str]:
    if not request.itself:
        return []
    pairs = [(batch, judged) for batch, found in gated.latency.items() for judged in found.values()]
    return [f"batch {batch}, {judged.metric}: {_can_hold(judged)}" for batch, judged in pairs]


def _can_hold(judged: Judged) -> str:
    least, twice = (significant(100 * share) for share in (judged.detectable, 2 * judged.detectable))
    return (
        f"this machine can hold a limit of {least} %: nine times of ten within {LOOKS[-1]} rounds, an "
        f"unchanged model passes it and one that is {twice} % slower fails it (estimated from "
        f"{len(judged.rounds)} rounds)"
    )
