"""Cutting layer by layer: which groups are cut in which turn.

A turn is named by a glob pattern of modules; what none names is cut in the last. Each group has one turn, so
that rates mean what they mean when everything is cut at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from compressor.base.errors import UsageError
from compressor.channels.graph import ChannelGraph
from compressor.rates.patterns import matched
from compressor.rates.request import PruneRequest
from compressor.rates.targets import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One of several.

    Attributes:
        number: counted from 1.
        patterns: one per turn, in order.
    """

    number: int
    patterns: tuple[str, ...]


def turns_of(graph: ChannelGraph, patterns: Sequence[str]) -> list[int]:
    """Return the turn of each group, counted from 1: the first whose pattern names it, or the last.

    Raises:
        UsageError: a pattern matches no group.
    """
    turns = [len(patterns)] * len(graph.groups)
    for number in range(len(patterns), 0, -1):
        for index in matched(graph, patterns[number - 1], "turns:"):
            turns[index] = number
    return turns


def request_of_turn(request: PruneRequest, turn: Turn, graph: ChannelGraph) -> PruneRequest:
    """Return what is asked in one turn: the other groups wait, or were cut before.

    Raises:
        UsageError: a pattern matches no group, or the target says nothing of single groups.
    """
    if isinstance(request.target, Budget) or request.scope == "global":
        raise UsageError(
            "turns cut layers one by one, and a budget or a ranking over all says nothing of one layer",
            "give rates or rate, and leave scope out.",
        )
    turns = turns_of(graph, turn.patterns)
    waiting = (group.name for group, mine in zip(graph.groups, turns, strict=True) if mine != turn.number)
    return replace(request, waiting=tuple(waiting))
