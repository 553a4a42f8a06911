"""From a matrix of pairwise distances or similarities to one score per filter; higher means keep.

``sum`` adds up a filter's row: the filter far from all others is unique. ``min_sum`` and ``min_min`` remove
one filter after the other: of the two filters that are most alike, the one that is closer to the remaining
ones (in sum, or at its closest) goes, the first of the two on a tie; the score is the step at which a filter
went. The last two filters always tie.
"""

from collections.abc import Callable, Iterator, Mapping
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
Indices = NDArray[np.int64]
Summary = Callable[[Floats], float]
"""Distances of one filter to the remaining ones -> how far it is from them; may be given none."""

_SHARE_OF_PAIRS: Final = 32
"""One in so many is sorted per round: more sort pairs that never come up, fewer need more rounds."""


def _eliminated(distances: Floats, summary: Summary) -> Floats:
    """Return the step at which each unit is removed; size - 1 for the survivor.

    Runs in rounds, each over the units that the one before left. A round meets at least the closest 1/32 of
    all pairs, so that it removes at least one unit in 65 whatever the matrix: O(size^2 log size) in all.
    """
    apart = distances.copy()
    np.fill_diagonal(apart, np.inf)
    left = np.arange(len(apart))
    order: list[Indices] = []
    while len(left) > 1:
        gone = _round(apart, summary)
        order.append(left[gone])
        stays = np.ones(len(left), dtype=bool)
        stays[gone] = False
        left, apart = left[stays], apart[stays][:, stays]
    steps = np.empty(len(distances))
    steps[np.concatenate([*order, left])] = np.arange(len(distances))
    return steps


def _round(apart: Floats, summary: Summary) -> list[int]:
    """Return the units to remove, in order, until none of the closest pairs has both of its units left."""
    others = np.ones(len(apart), dtype=bool)
    gone, is_gone = [], bytearray(len(apart))
    for i, j in _closest(apart):
        if is_gone[i] or is_gone[j]:
            continue
        others[i] = others[j] = False
        rest = others.nonzero()[0]
        further = summary(apart[i].take(rest)) > summary(apart[:, j].take(rest))
        loser, winner = (j, i) if further else (i, j)
        others[winner] = True
        is_gone[loser] = True
        gone.append(loser)
    return gone


def _closest(apart: Floats) -> Iterator[tuple[int, int]]:
    """Return the closest share of all pairs and what ties with it, closest first, ties in row-major order."""
    size, flat = len(apart), apart.ravel()
    count = size * (size - 1) // _SHARE_OF_PAIRS
    within = np.flatnonzero(flat <= np.partition(flat, count)[count])
    rows, columns = np.divmod(within[np.argsort(flat[within], kind="stable")], size)
    return zip(rows.tolist(), columns.tolist(), strict=True)


def _sum(distances: Floats) -> Floats:
    totals: Floats = distances.sum(axis=1)
    return totals


def _min_sum(distances: Floats) -> Floats:
    return _eliminated(distances, np.add.reduce)


def _min_min(distances: Floats) -> Floats:
    return _eliminated(distances, lambda row: np.minimum.reduce(row, initial=np.inf))


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
