"""From a matrix of pairwise distances or similarities to one score per filter; higher means keep.

``sum`` adds up a filter's row: the filter far from all others is unique. ``min_sum`` and ``min_min`` remove
one filter after the other: of the two filters that are most alike, the one that is closer to the remaining
ones (in sum, or at its closest) goes, the first of the two on a tie; the score is the step at which a filter
went. The last two filters always tie.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compressor.errors import UsageError
from compressor.similarity.lookup import known
from compressor.similarity.metrics import METRICS

Floats = NDArray[np.float64]
Summary = Callable[[Floats], float]
"""Distances of one filter to the remaining ones -> how far it is from them; may be given none."""


class _Living:
    """The units that are left, and the nearest one of each.

    Nearest neighbours are kept, not searched again: when a unit goes, only the rows that had it as their
    nearest (one or two, usually) are looked through. A step then costs O(size), all together O(size^2);
    only a matrix where one unit after the other is the nearest of all costs more.
    """

    def __init__(self, distances: Floats) -> None:
        self._rows = distances
        self._columns = distances.T.copy()
        self._apart = distances.copy()
        np.fill_diagonal(self._apart, np.inf)
        self._nearest = self._apart.argmin(axis=1)
        self._least = self._apart.min(axis=1)
        self._alive = np.ones(len(distances), dtype=bool)

    def pair(self) -> tuple[int, int]:
        """Return the two units with the least distance, the first such entry in row-major order."""
        row = int(self._least.argmin())
        return row, int(self._nearest[row])

    def to_others(self, i: int, j: int) -> tuple[Floats, Floats]:
        """Return the distances from i to the living, and from the living to j; neither i nor j counts."""
        self._alive[i] = self._alive[j] = False
        found = self._rows[i][self._alive], self._columns[j][self._alive]
        self._alive[i] = self._alive[j] = True
        return found

    def remove(self, unit: int) -> None:
        """Take a unit out."""
        self._alive[unit] = False
        self._apart[:, unit] = np.inf
        self._least[unit] = np.inf
        self._nearest[unit] = unit
        orphans = ((self._nearest == unit) & self._alive).nonzero()[0]
        if orphans.size:
            rows = self._apart[orphans]
            self._nearest[orphans] = rows.argmin(axis=1)
            self._least[orphans] = rows.min(axis=1)


def _eliminated(distances: Floats, summary: Summary) -> Floats:
    """Return the step at which each unit is removed; size - 1 for the survivor."""
    steps = np.full(len(distances), len(distances) - 1.0)
    living = _Living(distances)
    for step in range(len(distances) - 1):
        i, j = living.pair()
        from_i, to_j = living.to_others(i, j)
        loser = j if summary(from_i) > summary(to_j) else i
        steps[loser] = step
        living.remove(loser)
    return steps


def _sum(distances: Floats) -> Floats:
    totals: Floats = distances.sum(axis=1)
    return totals


def _min_sum(distances: Floats) -> Floats:
    return _eliminated(distances, lambda row: float(np.add.reduce(row)))


def _min_min(distances: Floats) -> Floats:
    return _eliminated(distances, lambda row: float(np.minimum.reduce(row, initial=np.inf)))


STRATEGIES: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {"min_sum": _min_sum, "min_min": _min_min, "sum": _sum}
)


def saliency(matrix: Tensor, metric: str = "vbd", strategy: str = "min_sum") -> Tensor:
    """Score filters from how alike they are.

    Args:
        matrix: (filters, filters), from :func:`compressor.similarity.pairwise`. The greedy strategies do not
            look at its diagonal, ``sum`` does.
        metric: what made the matrix; says whether large entries mean far or near.
        strategy: ``min_sum`` and ``min_min`` give ranks 0 .. filters - 1, the last survivor highest; ``sum``
            gives row sums, negated for similarities.

    Returns:
        (filters,), float64. Where the matrix holds NaN, the greedy strategies give 0, 1, 2, ...: what the
        authors' program does with it. ``sum`` passes NaN on.

    Raises:
        UsageError: a name does not exist, or the matrix is not square or not bounded.
    """
    sign = known("metric", METRICS, metric).sign
    score = known("strategy", STRATEGIES, strategy)
    values = matrix.double().cpu().numpy()
    _check(values)
    if strategy != "sum" and np.isnan(values).any():
        return torch.arange(len(matrix), dtype=torch.float64)
    return torch.from_numpy(score(sign * values))


def _check(matrix: Floats) -> None:
    bounded = not np.isinf(matrix).any()
    if bounded and matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0:
        return
    what = f"a matrix of shape {matrix.shape}" + ("" if bounded else " with infinite entries")
    hint = "give a square matrix of finite similarities, for instance from pairwise()."
    raise UsageError(f"{what} cannot be ranked", hint)
