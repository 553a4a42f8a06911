"""Many tiny nodes, whose start costs more than their work."""

from collections.abc import Sequence
from typing import Final

from bench.profile.lints import LINTS, Lint, Subject
from bench.profile.nodes import Node

TINY_MS: Final = 0.05
"""Below this the profiler itself distorts what it measures, too."""
_PART: Final = 0.2
"""Share of the time that tiny nodes have where they count."""


@LINTS.register("launch")
def launch(subject: Subject) -> list[Lint]:
    """Say where most nodes are tiny and take a good part of the time."""
    if not many_tiny(subject.nodes):
        return []
    tiny = [node for node in subject.nodes if node.ms < TINY_MS]
    spent_ms = sum(node.ms for node in tiny)
    what = (
        f"{len(tiny)} of {len(subject.nodes)} nodes take less than {1e3 * TINY_MS:.0f} us, together "
        f"{spent_ms:.3g} ms: starting them is a good part of that"
    )
    step = "fewer layers help more than narrower ones; so does a larger batch, or a runtime that fuses more."
    return [Lint(kind="launch", module="", ms=None, what=what, next=step)]


def many_tiny(nodes: Sequence[Node]) -> bool:
    """Say whether most nodes are tiny, and take a good part of the time."""
    tiny = [node.ms for node in nodes if node.ms < TINY_MS]
    return 2 * len(tiny) > len(nodes) and sum(tiny) > _PART * sum(node.ms for node in nodes)
