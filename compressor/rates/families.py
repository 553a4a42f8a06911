"""Families of shrinking networks: every member keeps at most what the member before it keeps.

Member 0 is the largest. A rate picks a member directly; a budget looks for the first one that it can pay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from compressor.base.errors import UsageError
from compressor.channels.components import Ids

Scores = Mapping[int, np.ndarray]
Units = Mapping[int, int]

UNIFORM_STEPS: Final = 2000
"""Rates between none and the largest that a uniform cut is searched over."""


class Family(Protocol):
    """A sequence of networks, each given by the units that its groups keep."""

    def __len__(self) -> int:
        """Return the number of members."""

    def members(self, first: int, last: int) -> Ids:
        """Return members ``first`` to ``last`` - 1, one a row, (last - first, groups)."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """The same rate in every group, in equal steps up to the largest.

    Attributes:
        sizes: units of each group, (groups,).
        max_rate: of the last member.
        settled: group -> units that it keeps in every member.
    """

    sizes: Ids
    max_rate: float
    settled: Units

    def __len__(self) -> int:
        """Return the number of members."""
        return UNIFORM_STEPS + 1

    def members(self, first: int, last: int) -> Ids:
        """Return some members."""
        rates = self.max_rate * np.arange(first, last) / UNIFORM_STEPS
        return uniform(self.sizes, rates, self.settled)


def uniform(sizes: Ids, rates: np.ndarray, settled: Units) -> Ids:
    """Return what groups keep at each of some rates, at least one unit, (rates, groups)."""
    kept: Ids = np.maximum(1, np.rint(sizes * (1 - rates[:, None]))).astype(np.int64)
    kept[:, list(settled)] = list(settled.values())
    return kept


@dataclass(frozen=True, slots=True)
class Ranked:
    """Member n has lost the n lowest-ranked units of all free groups, but no group falls below its floor.

    Attributes:
        whole: units that groups keep in member 0, (groups,).
        free: the groups that lose units, (free,).
        floor: units that each of them keeps at least, (free,).
        losers: whose unit goes next, as a position in ``free``, (units of free groups,).
    """

    whole: Ids
    free: Ids
    floor: Ids
    losers: Ids

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.losers) + 1

    def members(self, first: int, last: int) -> Ids:
        """Return some members."""
        lost = np.zeros((last - first, len(self.free)), dtype=np.int64)
        lost[0] = np.bincount(self.losers[:first], minlength=len(self.free))
        lost[np.arange(1, last - first), self.losers[first : last - 1]] = 1
        kept = np.tile(self.whole, (last - first, 1))
        kept[:, self.free] = np.maximum(self.whole[self.free] - lost.cumsum(axis=0), self.floor)
        return kept


def ranked(sizes: Ids, scores: Scores, max_rate: float, settled: Units) -> Ranked:
    """Return the family that one ranking of all units gives.

    Args:
        sizes: units of each group, (groups,).
        scores: group -> (units,), higher means keep, comparable between groups.
        max_rate: share of its units that a group may lose.
        settled: group -> units that it keeps whatever the ranking says.

    Raises:
        UsageError: no group is free.
    """
    free = [i for i in range(len(sizes)) if i not in settled]
    if not free:
        raise UsageError("no group is left to rank", "leave a --rate-of or a --keep out.")
    owner = np.concatenate([np.full(sizes[i], n) for n, i in enumerate(free)])
    order = np.argsort(np.concatenate([scores[i] for i in free]), kind="stable")
    whole = sizes.copy()
    whole[list(settled)] = list(settled.values())
    return Ranked(
        whole=whole,
        free=np.array(free, dtype=np.int64),
        floor=np.array([max(1, round(sizes[i] * (1 - max_rate))) for i in free], dtype=np.int64),
        losers=owner[order],
    )
