"""From a matrix of pairwise distances or similarities to one score per filter; higher means keep.

``sum`` adds up a filter's row: the filter far from all others is unique. ``min_sum`` and ``min_min`` remove
one filter after the other: of the two filters that are most alike, the one that is closer to the remaining
ones (in sum, or at its closest) goes, the first of the two on a tie; the score is the step at which a filter
went. The last two filters always tie.
"""

from collections.abc import Callable, Iterator, Mapping
from math import frexp
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.criteria.coring.similarity.lookup import known
from compressor.criteria.coring.similarity.metrics import METRICS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SHARE_OF_PAIRS: Final = 32
"""One in so many is sorted per round: more sort pairs that never come up, fewer need more rounds."""

_LARGEST_EXPONENT: Final = 1023
"""Of a float64."""


class _Rest(Protocol):
    """The units that are left, as seen from two of them."""

    def is_further(self, i: int, j: int) -> bool:
        """Return whether the others are further from i than j is from them."""

    def remove(self, unit: int) -> None:
        """Take a unit out."""


class _Sums:
    """Far is what has the larger sum of distances.

    The sums are kept, not made again: a step costs two vector operations. They are integers, in units small
    enough for every matrix of `pairwise`, so that subtracting loses nothing.
    """

    def __init__(self, distances: Floats) -> None:
        self._distances = _fixed_point(distances)
        np.fill_diagonal(self._distances, 0)
        self._from, self._to = self._distances.sum(axis=1), self._distances.sum(axis=0)

    def is_further(self, i: int, j: int) -> bool:
        """Compare the sums; the distance from i to j is in both."""
        return bool(self._from[i] > self._to[j])

    def remove(self, unit: int) -> None:
        """Take a unit's distances out of the sums."""
        self._from -= self._distances[:, unit]
        self._to -= self._distances[unit]


class _Minima:
    """Far is what has the larger distance to its nearest other unit."""

    def __init__(self, distances: Floats) -> None:
        self._distances = distances
        self._alive = np.ones(len(distances), dtype=bool)

    def is_further(self, i: int, j: int) -> bool:
        """Compare the minima over what is left besides i and j; nothing is infinitely far."""
        self._alive[i] = self._alive[j] = False
        from_i, to_j = self._distances[i][self._alive], self._distances[:, j][self._alive]
        self._alive[i] = self._alive[j] = True
        return bool(from_i.min(initial=np.inf) > to_j.min(initial=np.inf))

    def remove(self, unit: int) -> None:
        """Leave a unit out from now on."""
        self._alive[unit] = False


def _fixed_point(values: Floats) -> Integers:
    """Return a square matrix in multiples of a power of two: the smallest for which no row sum overflows."""
    _, exponent = frexp(len(values) * max(values.max(), -values.min()))
    scaled: Integers = (values * 2.0 ** min(62 - exponent, _LARGEST_EXPONENT)).astype(np.int64)
    return scaled


def _eliminated(distances: Floats, rest: _Rest) -> Floats:
    """Return the step at which each unit is removed; size - 1 for the survivor.

    Runs in rounds, each over the units that the one before left. A round meets at least the closest 1/32 of
    all pairs, so that it removes at least one unit in 65 whatever the matrix: O(size^2 log size) in all.
    """
    steps = np.full(len(distances), len(distances) - 1.0)
    is_left = np.ones(len(distances), dtype=bool)
    gone = bytearray(len(distances))  # the same as is_left, for single lookups, where it is faster
    step = 0
    while step < len(distances) - 1:
        for i, j in _closest(distances, is_left.nonzero()[0]):
            if gone[i] or gone[j]:
                continue
            loser = j if rest.is_further(i, j) else i
            rest.remove(loser)
            steps[loser], is_left[loser], gone[loser] = step, False, True
            step += 1
    return steps


def _closest(distances: Floats, units: Integers) -> Iterator[tuple[int, int]]:
    """Return the closest pairs of some units, and what ties with them; ties in row-major order."""
    apart = distances.take(units, axis=0).take(units, axis=1)
    np.fill_diagonal(apart, np.inf)
    size, flat = len(units), apart.ravel()
    count = size * (size - 1) // _SHARE_OF_PAIRS
    within = (flat <= np.partition(flat, count)[count]).nonzero()[0]
    rows, columns = np.divmod(within[np.argsort(flat[within], kind="stable")], size)
    return zip(units[rows].tolist(), units[columns].tolist(), strict=True)


def _sum(distances: Floats) -> Floats:
    totals: Floats = distances.sum(axis=1)
    return totals


def _min_sum(distances: Floats) -> Floats:
    return _eliminated(distances, _Sums(distances))


def _min_min(distances: Floats) -> Floats:
    return _eliminated(distances, _Minima(distances))


STRATEGIES: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {"min_sum": _min_sum, "min_min": _min_min, "sum": _sum}
)


def saliency(matrix: Tensor, metric: str = "vbd", strategy: str = "min_sum") -> Tensor:
    """Score filters from how alike they are.

    Args:
        matrix: (filters, filters), from `pairwise`. The greedy strategies do not
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
