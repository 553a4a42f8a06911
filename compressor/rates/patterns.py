"""Which channel groups a glob pattern names."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from compressor.base.errors import UsageError
from compressor.channels.graph import ChannelGraph, module_of
from compressor.channels.groups import ChannelGroup


def matched(graph: ChannelGraph, pattern: str, option: str) -> list[int]:
    """Return the groups that a pattern names, by themselves or by a module that makes them, at least one.

    Args:
        graph: the traced model.
        pattern: glob of a module, or the path of one that holds it.
        option: where the pattern was given, for the message.

    Raises:
        UsageError: it matches nothing.
    """
    found = [
        index
        for index, group in enumerate(graph.groups)
        if any(fnmatchcase(name, pattern) or name.startswith(f"{pattern}.") for name in _names(group))
    ]
    if not found:
        raise UsageError(f"{option} {pattern} matches no group", "see the names with: compress models NAME.")
    return found


def _names(group: ChannelGroup) -> Iterator[str]:
    yield group.name
    yield from (module_of(producer) for producer in group.producers)
