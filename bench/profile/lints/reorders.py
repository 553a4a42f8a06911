"""Nodes that only arrange memory anew."""

from typing import Final

from bench.profile.lints import LINTS, Lint, Subject

_USUAL: Final = 2
"""A way in and a way out, which every network has."""


@LINTS.register("reorders")
def reorders(subject: Subject) -> list[Lint]:
    """Count the reorders: their number says whether a network is in shape."""
    nodes = [node for node in subject.nodes if node.reorders]
    if len(nodes) <= _USUAL:
        return []
    spent_ms = sum(node.ms for node in nodes)
    what = f"{len(nodes)} nodes only change the layout of activations and take {spent_ms:.3g} ms"
    step = "widths in whole blocks keep layers in one layout; operators between them may break it, too."
    return [Lint(kind="reorders", module="", ms=spent_ms, what=what, next=step)]
