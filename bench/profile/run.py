"""Profile one model: its nodes by the runtime's own clock, placed in it, and what rules find in them."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.candidates import Candidate, require_same_inputs
from bench.profile.alignment import block_of
from bench.profile.graph import Graph
from bench.profile.lints import Lint, Subject, found_in
from bench.profile.lints.launch import many_tiny
from bench.profile.nodes import Node, placed
from bench.profile.origins import graph_of
from bench.profile.probes import Probes
from bench.profile.runtimes import Array, Profiler, Progress, Sampling, Timed, profiler_of
from compressor.base.bounds import require_memory
from compressor.base.errors import UsageError
from compressor.base.pace import Pace, Say
from compressor.base.text import foreign
from compressor.tasks.examples import example_arrays
from export.backends import BACKENDS, SessionOptions

_FEWEST: Final = 10
_MOST: Final = 200
"""Calls whose smallest times count."""
_SILENT_S: Final = 9.0
"""A call more is waited for after that."""


class Teller:
    """Says every ten seconds where a model is."""

    def __init__(self, say: Say, name: str) -> None:
        self._say, self._name, self._pace = say, name, Pace(_SILENT_S)

    def __call__(self, done: int, total: int) -> None:
        """Take notice of a call."""
        if self._pace.due():
            self._say(f"{self._name}: call {done} of {max(done, total)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """How a model is profiled.

    Attributes:
        backend: runtime.
        threads: of the runtime; None leaves the choice to it.
        batch: samples per call.
        seconds: of profiled calls; exceeded where `_FEWEST` calls need more.
        seed: of the inputs.
    """

    backend: str
    threads: int | None = None
    batch: int = 1
    seconds: float = 3.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where the time of a model goes.

    Attributes:
        candidate: what was profiled.
        settings: how.
        nodes: in the order of execution.
        lints: what rules found, the most to save first.
        call_ms: shortest whole call without the profiler.
        calls: that were profiled.
        placed: whether the graph is known that says which module a node is of.
    """

    candidate: Candidate
    settings: ProfileSettings
    nodes: tuple[Node, ...]
    lints: tuple[Lint, ...]
    call_ms: float
    calls: int
    placed: bool = True

    @property
    def total_ms(self) -> float:
        """Sum of the nodes' smallest times."""
        return sum(node.ms for node in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-adds of all layers whose shapes are known."""
        return sum(node.macs or 0 for node in self.nodes)

    @property
    def reorders(self) -> int:
        """Nodes that only arrange memory anew."""
        return sum(node.reorders for node in self.nodes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the times are, and what makes them less trustworthy."""
        name = foreign(self.candidate.name)
        words = (
            f"{name}: nodes have their smallest times of {self.calls} calls, together {self.total_ms:.4g} "
            f"ms; a whole call without the profiler takes {self.call_ms:.4g} ms"
        )
        if not self.placed:
            words = f"{words}. Modules are not known: the ONNX file that it was built from is not beside it"
        doubt = f"{name}: many nodes take under 50 us, which the profiler slows: trust order, not size"
        return (words, doubt) if many_tiny(self.nodes) else (words,)


def profile(
    candidate: Candidate,
    settings: ProfileSettings,
    probes: Probes,
    progress: Progress = lambda done, total: None,
) -> Profile:
    """Profile a file.

    Args:
        candidate: a file that the backend opens.
        settings: how.
        probes: of the same runtime and threads; kept over several models, what it measures is not measured
            again.
        progress: told between calls.

    Raises:
        UsageError: the model is no file, does not take the batch, or does not run.
        BackendMissingError: the runtime is not installed.
    """
    if not isinstance(candidate.source, Path):
        raise UsageError(f"{foreign(candidate.name)} is no file", "export it: compress export.")
    ran = timed_nodes(candidate, settings, probes.profiler, progress)
    timed, call_ms, calls = ran.nodes, ran.call_ms, ran.calls
    graph = graph_of(candidate.source)
    nodes = placed(timed, graph or Graph([]))
    if not nodes:
        raise UsageError(
            f"{foreign(candidate.name)} has no node that takes time", "give a model that computes."
        )
    block = block_of() if settings.backend == "onnxruntime" else 0
    multiple = probes.profiler.multiple(candidate.precision)
    subject = Subject(nodes, settings.backend, candidate.precision, block, multiple, call_ms, probes)
    return Profile(
        candidate=candidate, settings=settings, nodes=nodes, lints=found_in(subject), call_ms=call_ms,
        calls=calls, placed=graph is not None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """The nodes of a model as the runtime names them.

    Attributes:
        nodes: with their smallest times.
        call_ms: shortest whole call without the profiler.
        calls: that were profiled.
    """

    nodes: tuple[Timed, ...]
    call_ms: float
    calls: int


def timed_nodes(
    candidate: Candidate,
    settings: ProfileSettings,
    profiler: Profiler,
    progress: Progress = lambda done, total: None,
) -> Ran:
    """Run a file, warm and then under the runtime's clock.

    Raises:
        UsageError: the model does not take the batch, or does not run.
        BackendMissingError: the runtime is not installed.
    """
    assert isinstance(candidate.source, Path)
    _check(candidate, settings)
    feed, call_ms = _warm(candidate, settings, progress)
    calls = min(_MOST, max(_FEWEST, math.ceil(1e3 * settings.seconds / call_ms)))
    sampling = Sampling(threads=settings.threads, calls=calls, progress=progress)
    return Ran(nodes=profiler.nodes(candidate.source, feed, sampling), call_ms=call_ms, calls=calls)


def profiles_of(candidates: Sequence[Candidate], settings: ProfileSettings, say: Say) -> list[Profile]:
    """Profile models one after the other; see `profile`.

    Raises:
        UsageError: the backend cannot say the time of its nodes, or the models take different inputs.
    """
    require_same_inputs(candidates)
    probes = Probes(profiler=profiler_of(settings.backend), threads=settings.threads)
    profiles = []
    for number, candidate in enumerate(candidates, start=1):
        say(f"profiling {foreign(candidate.name)} ({number} of {len(candidates)})")
        profiles.append(profile(candidate, settings, probes, Teller(say, foreign(candidate.name))))
    return profiles


def _check(candidate: Candidate, settings: ProfileSettings) -> None:
    most = candidate.inputs.max_batch
    if settings.batch < 1 or (most is not None and settings.batch > most):
        raise UsageError(
            f"{foreign(candidate.name)} does not take batches of {settings.batch}",
            f"give --batch {most or 1}.",
        )
    elements = sum(math.prod(shape) for shape in candidate.inputs.shapes)
    require_memory(8 * settings.batch * elements, f"a batch of {settings.batch}", "give a smaller --batch")
    if not 0 < settings.seconds < math.inf:
        raise UsageError(f"--seconds {settings.seconds}", "give a positive number of seconds.")


def _warm(
    candidate: Candidate, settings: ProfileSettings, progress: Progress
) -> tuple[Mapping[str, Array], float]:
    """Return the input, and the shortest of some plain calls in milliseconds."""
    device = profiler_of(settings.backend).device
    backend, options = BACKENDS.get(settings.backend), SessionOptions(device=device, threads=settings.threads)
    with candidate.opened(backend, options) as session:
        arrays = example_arrays(candidate.inputs, settings.batch, seed=(settings.seed, settings.batch))
        feed = session.named(arrays, candidate.name)
        session.run(feed)
        spent: list[float] = []
        started = time.perf_counter()
        while len(spent) < _FEWEST or (
            len(spent) < _MOST and time.perf_counter() - started < settings.seconds / 3
        ):
            before = time.perf_counter_ns()
            session.run(feed)
            spent.append((time.perf_counter_ns() - before) / 1e6)
            progress(len(spent), _FEWEST)
    return feed, min(spent)
