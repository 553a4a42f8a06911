"""From a dense model's exported file to its parts: what ran, how long, and what made its input."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.candidates import Candidate
from bench.layers.grid import widths_to_try
from bench.layers.signature import Signature
from bench.layers.table import Key, Part
from bench.profile.graph import Graph
from bench.profile.nodes import Node, placed
from bench.profile.runtimes import Array, Profiler, Progress, Sampling
from compressor.tasks.examples import example_arrays
from export.backends import BACKENDS, SessionOptions

_FEWEST: Final = 7
_MOST: Final = 60
_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A dense model as it ran.

    Attributes:
        call_ms: shortest whole call without the profiler.
        parts: its nodes, each with the key of its table.
    """

    call_ms: float
    parts: tuple[tuple[Part, Key | None], ...]

    @property
    def keys(self) -> tuple[Key, ...]:
        """What has to be measured over widths, each once."""
        return tuple(dict.fromkeys(key for _, key in self.parts if key is not None))


def run_dense(
    candidate: Candidate, profiler: Profiler, backend: str, *, threads: int | None, batch: int,
    progress: Progress = lambda done, total: None,
) -> Ran:  # fmt: skip
    """Profile an exported file and read what its layers are.

    Raises:
        UsageError: it does not run.
        BackendMissingError: the runtime is not installed.
    """
    assert isinstance(candidate.source, Path)
    options = SessionOptions(device=profiler.device, threads=threads)
    feed, call_ms = _called(candidate, backend, options, batch)
    calls = min(_MOST, max(_FEWEST, math.ceil(1e3 * _SECONDS / call_ms)))
    timed = profiler.nodes(candidate.source, feed, Sampling(threads=threads, calls=calls, progress=progress))
    graph = Graph.read(candidate.source)
    nodes = placed(timed, graph)
    makers = [graph.makers(one) for one in timed]
    return Ran(call_ms=call_ms, parts=tuple(map(_part, nodes, makers)))


def _part(node: Node, makers: tuple[str, ...]) -> tuple[Part, Key | None]:
    layer = node.layer
    if layer is None or not node.module:
        return Part(module="", operator="", ms=node.ms, makers=makers), None
    part = Part(module=node.module, operator=layer.operator, ms=node.ms, makers=makers)
    signature = Signature.of(node)
    if signature is None:
        return part, None
    return part, (signature, 1 if signature.depthwise else layer.in_channels, layer.out_channels)


def points(key: Key, block: int) -> list[tuple[int, int]]:
    """Return the widths (input, output) at which a layer is measured."""
    signature, into, out = key
    inputs: Sequence[int] = (1,) if signature.depthwise else widths_to_try(into, block)
    return [(i, o) for i in inputs for o in widths_to_try(out, block)]


def _called(
    candidate: Candidate, backend: str, options: SessionOptions, batch: int
) -> tuple[Mapping[str, Array], float]:
    """Return an input, and the shortest of some plain calls in milliseconds."""
    with candidate.opened(BACKENDS.get(backend), options) as session:
        feed = session.named(example_arrays(candidate.inputs, batch, seed=(0, batch)), candidate.name)
        session.run(feed)
        spent: list[float] = []
        started = time.perf_counter()
        while len(spent) < _FEWEST or (len(spent) < _MOST and time.perf_counter() - started < _SECONDS / 2):
            before = time.perf_counter_ns()
            session.run(feed)
            spent.append((time.perf_counter_ns() - before) / 1e6)
    return feed, min(spent)
