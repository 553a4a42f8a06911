"""Runtimes that can say the time of their nodes, one file each, found by a registry.

A profiler has the name of its backend in `export.backends.BACKENDS`. A backend without one runs models, and
cannot be asked where their time goes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from compressor.base.errors import UsageError
from compressor.base.registry import Registry
from export.backends import BACKENDS, Array
from export.session import Feed

__all__ = [
    "PROFILERS",
    "REORDERS",
    "Array",
    "Feed",
    "Profiler",
    "Progress",
    "Sampling",
    "Shape",
    "Timed",
    "profiler_of",
]

REORDERS: Final = ("Reorder", "Reformat")
"""How the kinds of nodes begin that only arrange memory anew."""

Shape = tuple[int, ...]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How nodes are timed.

    Attributes:
        threads: of the runtime; None leaves the choice to it.
        calls: that are counted, after one that is not.
        progress: told between calls how many were made, out of how many.
    """

    threads: int | None = None
    calls: int = 20
    progress: Progress = lambda done, total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A node as a runtime ran it.

    Attributes:
        name: as the runtime calls it.
        kind: operator, in the runtime's own words.
        ms: smallest time over all calls; noise only ever adds.
        precision: what it computed in: ``fp32``, ``fp16``, ``int8`` ..., or the runtime's own word.
        origin: names of nodes and values of the file that it may have come from, the likeliest first.
        inputs: shapes of what it took, where the runtime tells.
        outputs: shapes of what it gave, likewise.
        blocked: whether it worked on channels in blocks.
    """

    name: str
    kind: str
    ms: float
    precision: str
    origin: tuple[str, ...]
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    blocked: bool = False


class Profiler(Protocol):
    """A runtime that can say the time of its nodes."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``: where it runs."""

    def multiple(self, precision: str) -> int:
        """Return the channels that widths should be multiples of on this machine; 1 where any will do."""

    def nodes(self, model: Path, feed: Mapping[str, Array], sampling: Sampling) -> tuple[Timed, ...]:
        """Run a file and return its nodes in the order of execution, those that took no time left out.

        Args:
            model: the file, which the runtime's backend opens.
            feed: its input.
            sampling: threads and calls.

        Raises:
            UsageError: the runtime does not run the file.
        """


PROFILERS: Final[Registry[Profiler]] = Registry("profiler", "bench.profile.runtimes")


def profiler_of(backend: str) -> Profiler:
    """Return the profiler of a backend.

    Raises:
        UsageError: there is no such backend, or it cannot say the time of its nodes.
    """
    BACKENDS.get(backend)
    if backend not in PROFILERS:
        raise UsageError(
            f"backend {backend} cannot say the time of its nodes", f"choose from {', '.join(PROFILERS)}."
        )
    return PROFILERS.get(backend)
