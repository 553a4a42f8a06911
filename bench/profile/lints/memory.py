"""Layers that wait for memory."""

from typing import Final

from bench.profile.lints import LINTS, Lint, Subject
from bench.profile.nodes import Node

_WORTH: Final = 0.02
"""Smallest share of the time that is looked at."""
_MOST: Final = 0.5
"""Share of a node's time that its bytes alone explain."""


@LINTS.register("memory")
def memory(subject: Subject) -> list[Lint]:
    """Name nodes whose bytes take most of their time at this machine's bandwidth, more than their MACs."""
    large = [node for node in subject.nodes if node.share >= _WORTH and node.bytes and not node.reorders]
    if not large:
        return []
    ceilings = subject.probes.ceilings
    found = []
    for node in large:
        moving_ms = (node.bytes or 0) / ceilings.bytes_per_ms
        if moving_ms > max(_MOST * node.ms, (node.macs or 0) / ceilings.macs_per_ms):
            found.append(_lint(node, moving_ms))
    return found


def _lint(node: Node, moving_ms: float) -> Lint:
    what = (
        f"{node.kind} is bound by memory: {(node.bytes or 0) / 1e6:.3g} MB, which this machine moves in "
        f"{moving_ms:.3g} ms, in {node.ms:.3g} ms"
    )
    step = "fewer multiply-adds do not help here: fewer or narrower activations do, int8, or a larger batch."
    return Lint(kind="memory", module=node.module, ms=None, what=what, next=step)
