"""Widths in channels to the nearest multiple."""

from dataclasses import dataclass
from math import gcd
from typing import Final

import numpy as np

from compressor.base.errors import UsageError
from compressor.channels.components import Ids
from compressor.channels.cost import kept_units
from compressor.channels.graph import ChannelGraph

_MOST_LEVELS: Final = 48


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rounds kept units so that channels are multiples: at least one multiple, at most the dense width.

    Attributes:
        sizes: units of each group, (groups,).
        steps: units of each group that make a multiple of channels, (groups,).
    """

    sizes: Ids
    steps: Ids

    def __call__(self, kept: Ids) -> Ids:
        """Return kept units after rounding, (..., groups); groups that stay whole are left alone."""
        if (self.steps == 1).all():
            return kept
        nearest = np.maximum(1, np.floor(kept / self.steps + 0.5)).astype(np.int64) * self.steps
        return np.where(kept < self.sizes, np.minimum(nearest, self.sizes), kept)

    def levels(self, index: int, max_rate: float) -> Ids:
        """Return the units that a group may keep, ascending, at most `_MOST_LEVELS` besides all of them."""
        size, step = int(self.sizes[index]), int(self.steps[index])
        least = max(1, -(-round(size * (1 - max_rate)) // step)) * step
        apart = step * max(1, -(-(size - least) // (step * _MOST_LEVELS)))
        return np.array([*range(size, min(least, size) - 1, -apart)][::-1], dtype=np.int64)


def rounding(graph: ChannelGraph, round_to: int) -> Rounding:
    """Return the rounding of a traced network to multiples of ``round_to`` channels.

    Raises:
        UsageError: it is below one.
    """
    if round_to < 1:
        raise UsageError(f"--round-to {round_to}", "give a positive number of channels, for instance 8.")
    steps = [round_to // gcd(round_to, channels(graph, index)) for index in range(len(graph.groups))]
    return Rounding(sizes=kept_units(graph), steps=np.array(steps, dtype=np.int64))


def channels(graph: ChannelGraph, index: int) -> int:
    """Return the channels per unit on the axis of the group's first producer."""
    producers = [e for e in graph.touching[index] if e.role == "producer"]
    entry = (producers or graph.touching[index])[0]
    return int((entry.group == index).sum()) // graph.groups[index].size
