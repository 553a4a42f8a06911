"""Which groups the target says nothing to: those that stay whole, and those with a rate of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compressor.base.errors import UsageError
from compressor.channels.graph import ChannelGraph
from compressor.rates.patterns import matched
from compressor.rates.request import PruneRequest
from compressor.rates.strings import checked_rate


@dataclass(frozen=True, slots=True)
class Held:
    """Groups whose width is settled before the target is looked at.

    Attributes:
        units: group index -> units that it keeps.
        reasons: group index -> why, in words.
    """

    units: Mapping[int, int]
    reasons: Mapping[int, str]


def held(graph: ChannelGraph, request: PruneRequest, arch: str) -> Held:
    """Settle frozen and protected groups, and those with a rate of their own.

    Raises:
        UsageError: a pattern matches nothing, an own rate is no rate or belongs to groups that stay whole,
            or no group is left to prune.
    """
    whole = _whole(graph, request)
    if len(whole) == len(graph.groups):
        raise UsageError(f"{arch}: every group is frozen or protected", "see why with: compress models NAME.")
    units = {index: graph.groups[index].size for index in whole}
    reasons = dict(whole)
    for pattern, rate in request.own_rates:
        checked_rate(rate)
        for index in _prunable(graph, pattern, whole):
            units[index] = max(1, round(graph.groups[index].size * (1 - rate)))
            reasons[index] = f"--rate-of {pattern}={rate:g}"
    return Held(units=units, reasons=reasons)


def _whole(graph: ChannelGraph, request: PruneRequest) -> dict[int, str]:
    """Return the groups that stay whole, each with the reason."""
    whole: dict[int, str] = {}
    kept = {index: p for p in sorted(request.protect, reverse=True) for index in matched(graph, p, "--keep")}
    for index, group in enumerate(graph.groups):
        if group.frozen:
            whole[index] = group.frozen
        elif group.name in request.waiting:
            whole[index] = "not its turn"
        elif index in kept:
            whole[index] = f"kept by --keep {kept[index]}"
        elif group.inexact and not request.allow_inexact:
            whole[index] = f"{group.inexact}; --allow-inexact prunes it"
    return whole


def _prunable(graph: ChannelGraph, pattern: str, whole: Mapping[int, str]) -> Sequence[int]:
    found = matched(graph, pattern, "--rate-of")
    prunable = [index for index in found if index not in whole]
    if not prunable:
        raise UsageError(
            f"--rate-of {pattern}: {graph.groups[found[0]].name} stays whole: {whole[found[0]]}",
            "leave one of the two options out.",
        )
    return prunable
