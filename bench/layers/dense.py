"""From a dense model's exported file to its parts: what ran, how long, and what made its input."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.candidates import Candidate
from bench.layers.grid import widths_to_try
from bench.layers.signature import Signature
from bench.layers.table import Key, Part, Where
from bench.profile.graph import Graph
from bench.profile.nodes import Node, placed
from bench.profile.run import ProfileSettings, timed_nodes
from bench.profile.runtimes import Profiler, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
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


def run_dense(candidate: Candidate, profiler: Profiler, where: Where, progress: Progress) -> Dense:
    """Profile an exported file and read what its layers are.

    Raises:
        UsageError: it does not run.
        BackendMissingError: the runtime is not installed.
    """
    assert isinstance(candidate.source, Path)
    settings = ProfileSettings(backend=where.backend, threads=where.threads, batch=where.batch)
    ran = timed_nodes(candidate, settings, profiler, progress)
    graph = Graph.read(candidate.source)
    makers = map(graph.makers, ran.nodes)
    return Dense(call_ms=ran.call_ms, parts=tuple(map(_part, placed(ran.nodes, graph), makers)))


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
