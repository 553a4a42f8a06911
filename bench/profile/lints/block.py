"""Concatenations and pools, which stay in the blocked layout only for whole blocks."""

from typing import Final

from bench.profile.lints import LINTS, Lint, Subject
from bench.profile.nodes import Node

_IMAGE: Final = 4
_WORTH: Final = 0.001
"""Smallest share of the time that is worth a word."""


@LINTS.register("block")
def block(subject: Subject) -> list[Lint]:
    """Name concatenations and pools that break the layout because of their channels."""
    if not subject.blocked:
        return []
    nodes = [node for node in subject.nodes if _breaks(node, subject.block)]
    return [_lint(node, subject.block) for node in nodes]


def _breaks(node: Node, block: int) -> bool:
    whole = node.kind == "Concat" or node.kind.endswith("Pool")
    images = [shape for shape in node.inputs if len(shape) == _IMAGE]
    if (
        not whole
        or node.blocked
        or node.share < _WORTH
        or len(images) < len(node.inputs)
        or _along_an_axis(node)
    ):
        return False
    return any(shape[1] % block for shape in images)


def _along_an_axis(node: Node) -> bool:
    """Say whether a concatenation joins another axis than channels."""
    widths = [shape[1] for shape in node.inputs if len(shape) == _IMAGE]
    return node.kind == "Concat" and sum(widths) != node.out_channels


def _lint(node: Node, block: int) -> Lint:
    widths = " + ".join(str(shape[1]) for shape in node.inputs)
    what = f"{node.kind} of {widths} channels leaves the blocked layout and takes {node.ms:.3g} ms"
    step = f"every one of its inputs has to be a multiple of {block}: prune with --round-to {block}."
    return Lint(kind="block", module=node.module, ms=None, what=what, next=step)
