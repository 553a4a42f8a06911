"""What can be seen in the time of nodes, and what to do about it: one file each, found by a registry.

The rules on layouts are ONNX Runtime's on a CPU: in the blocked layout a convolution takes input channels in
multiples of 4, a pool or a concatenation only multiples of the whole block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bench.profile.alignment import Aligned, predict
from bench.profile.nodes import Node
from bench.profile.probes import Probes
from compressor.base.registry import Registry

__all__ = ["LINTS", "Lint", "LintOf", "Subject", "found_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """One thing to know.

    Attributes:
        kind: name of the rule.
        module: what it concerns; ``""`` is the whole model.
        ms: what would be saved, predicted; None where nobody predicts.
        what: was found, with figures.
        next: what to do.
    """

    kind: str
    module: str
    ms: float | None
    what: str
    next: str


@dataclass(frozen=True)
class Subject:
    """A profiled model, as rules see it.

    Attributes:
        nodes: that took time.
        backend: runtime.
        precision: of the file.
        block: channels that activations are kept in blocks of; 0 where they are not.
        multiple: channels that widths should be multiples of; 1 where any will do.
        call_ms: shortest whole call without the profiler.
        probes: measures layers by themselves.
    """

    nodes: tuple[Node, ...]
    backend: str
    precision: str
    block: int
    multiple: int
    call_ms: float
    probes: Probes

    @property
    def total_ms(self) -> float:
        """Time of all nodes."""
        return sum(node.ms for node in self.nodes)

    @property
    def blocked(self) -> bool:
        """Whether the rules on the blocked layout apply: fp32 weights, and a runtime that has one."""
        return self.block > 0 and self.precision == "fp32"

    @cached_property
    def aligned(self) -> Aligned | None:
        """What aligned widths would cost, measured once; layers are measured in fp32 only."""
        if self.multiple < 2 or self.precision != "fp32":
            return None
        return predict(self.nodes, self.multiple, self.probes)


LintOf = Callable[[Subject], list[Lint]]
LINTS: Final[Registry[LintOf]] = Registry("lint", "bench.profile.lints")


def found_in(subject: Subject) -> tuple[Lint, ...]:
    """Return what all rules find, the most to save first and what nobody predicts last."""
    found = [lint for name in LINTS for lint in LINTS.get(name)(subject)]
    return tuple(sorted(found, key=lambda lint: -(lint.ms if lint.ms is not None else -1.0)))
