"""Widths that are no multiples of the block, and what rounding them would give."""

from typing import Final

from bench.profile.alignment import odd_width
from bench.profile.lints import LINTS, Lint, Subject

_WORTH: Final = 0.01
"""Smallest share of the time that is worth a word."""


@LINTS.register("widths")
def widths(subject: Subject) -> list[Lint]:
    """Predict what the whole network would take with widths in multiples of the block."""
    aligned = subject.aligned
    if aligned is None:
        return _counted(subject)
    if subject.total_ms - aligned.total_ms < _WORTH * subject.total_ms:
        return []
    before, after, block = subject.total_ms, aligned.total_ms, subject.multiple
    convolutions = sum(node.layer is not None and node.layer.operator == "Conv" for node in subject.nodes)
    what = (
        f"{len(aligned.odd)} of {convolutions} convolutions have widths that are no multiples of {block}; "
        f"with the nearest ones all nodes are predicted to take {after:.4g} ms instead of {before:.4g} ms"
    )
    step = f"prune again with --round-to {block}, or pad this one: compress export --align {block}."
    return [Lint(kind="widths", module="", ms=before - after, what=what, next=step)]


def _counted(subject: Subject) -> list[Lint]:
    """Count odd widths where nobody can predict what they cost."""
    if subject.multiple < 2 or subject.precision == "fp32":
        return []
    odd = [node for node in subject.nodes if node.layer and odd_width(node.layer, subject.multiple)]
    if not odd:
        return []
    what = f"{len(odd)} convolutions of this {subject.precision} file have widths that are no multiples of "
    step = f"prune again with --round-to {subject.multiple}, and measure both."
    return [Lint(kind="widths", module="", ms=None, what=f"{what}{subject.multiple}", next=step)]
