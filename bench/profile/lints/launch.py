"""Many tiny nodes, whose start costs more than their work."""

from bench.profile.lints import LINTS, Lint, Subject

TINY_MS = 0.05
"""Below this the profiler itself distorts what it measures, too."""
_MOST = 0.5


@LINTS.register("launch")
def launch(subject: Subject) -> list[Lint]:
    """Say where most nodes are tiny and take a good part of the time."""
    tiny = [node for node in subject.nodes if node.ms < TINY_MS]
    spent_ms = sum(node.ms for node in tiny)
    if len(tiny) <= _MOST * len(subject.nodes) or spent_ms < 0.2 * subject.total_ms:
        return []
    what = (
        f"{len(tiny)} of {len(subject.nodes)} nodes take less than {1e3 * TINY_MS:.0f} us, together "
        f"{spent_ms:.3g} ms: starting them is a good part of that"
    )
    step = "fewer layers help more than narrower ones; so does a larger batch, or a runtime that fuses more."
    return [Lint(kind="launch", module="", ms=None, what=what, next=step)]
