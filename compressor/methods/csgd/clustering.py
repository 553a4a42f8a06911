"""Clusters of filters: which of a layer's filters are to become one.

Four kinds, as the authors offer: by k-means on the filters; even runs; one large cluster, the rest alone
(imbalanced); and by magnitude, where the smallest filters join the first of the largest. The first filter of
a cluster is the one that survives.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.base.registry import unknown_name

Clusters = list[list[int]]
_Points = NDArray[np.float64]
_Labels = NDArray[np.int64]

_ROUNDS: Final = 300
"""As in scikit-learn, with which the authors cluster."""


def clusters(weight: Tensor, count: int, kind: str = "kmeans", seed: int = 0) -> Clusters:
    """Return the filters of a layer in ``count`` clusters, ordered by their first filters.

    Args:
        weight: (filters, ...); filters are compared flattened.
        count: how many clusters there will be, at most as many as filters; none is empty.
        kind: ``kmeans``, ``even``, ``imbalanced`` or ``magnitude``.
        seed: of the centres that k-means starts from.

    Returns:
        Indices of filters; the first of a cluster stands for it. It is the lowest, but by magnitude the one
        that is largest.

    Raises:
        UsageError: there is no such kind, the count does not fit, or weights are not finite.
    """
    points = weight.detach().double().cpu().reshape(len(weight), -1).numpy()
    if not 1 <= count <= len(points):
        raise UsageError(
            f"{count} clusters of {len(points)} filters", f"give a number from 1 to {len(points)}."
        )
    if kind not in KINDS:
        raise unknown_name("kind of clusters", kind, list(KINDS))
    if not np.isfinite(points).all():
        raise UsageError("filters are not finite", "the weights hold NaN or infinity; check the checkpoint.")
    return sorted(KINDS[kind](points, count, seed))


def _even(points: _Points, count: int, seed: int) -> Clusters:
    """Return runs of neighbours, the first ones longer by one where they do not come out even."""
    return [run.tolist() for run in np.array_split(np.arange(len(points)), count)]


def _imbalanced(points: _Points, count: int, seed: int) -> Clusters:
    """Return the first filters in one cluster, and every other alone."""
    together = len(points) - count + 1
    return [list(range(together)), *([alone] for alone in range(together, len(points)))]


def _magnitude(points: _Points, count: int, seed: int) -> Clusters:
    """Return the filters of the largest L1 norms, the first of them with all others."""
    order = np.argsort(-np.abs(points).sum(axis=1), kind="stable")
    first, *others = sorted(order[:count].tolist())
    return [[first, *sorted(order[count:].tolist())], *([alone] for alone in others)]


def _kmeans(points: _Points, count: int, seed: int) -> Clusters:
    """Return clusters around centres, each filter with the nearest (Lloyd's algorithm from k-means++)."""
    if count == len(points):
        return [[alone] for alone in range(count)]
    if points.shape[1] > len(points):  # few filters span few dimensions, in which distances are the same
        points = np.asarray(np.linalg.qr(points.T, mode="r")).T
    centres = _spread(points, count, np.random.default_rng(seed))
    labels: _Labels = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        before, labels = labels, _nearest(points, centres)
        if np.array_equal(before, labels):
            break
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, points)
        centres = sums / np.bincount(labels, minlength=count)[:, None]
    return [np.flatnonzero(labels == label).tolist() for label in range(count)]


def _spread(points: _Points, count: int, rng: np.random.Generator) -> _Points:
    """Return the centres to start from: points, each drawn by its squared distance to those before it."""
    chosen = [int(rng.integers(len(points)))]
    weights = np.full(len(points), np.inf)
    while len(chosen) < count:
        weights = np.minimum(weights, _squared(points, points[chosen[-1:]])[:, 0])
        weights[chosen[-1]] = 0
        total = weights.sum()
        free = np.setdiff1d(np.arange(len(points)), chosen)
        chosen.append(int(rng.choice(len(points), p=weights / total) if total > 0 else free[0]))
    return points[chosen]


def _nearest(points: _Points, centres: _Points) -> _Labels:
    """Return the nearest centre of each point; one that nobody is nearest to gets the farthest point."""
    distance = _squared(points, centres)
    labels: _Labels = distance.argmin(axis=1)
    own = distance[np.arange(len(points)), labels]
    for empty in np.setdiff1d(np.arange(len(centres)), labels):
        shared = np.bincount(labels, minlength=len(centres))[labels] > 1
        farthest = int(np.where(shared, own, -1).argmax())
        labels[farthest], own[farthest] = empty, 0
    return labels


def _squared(points: _Points, centres: _Points) -> _Points:
    """Return squared distances, (points, centres)."""
    lengths = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    found: _Points = np.maximum(lengths - 2 * points @ centres.T, 0)
    return found


KINDS: Final[Mapping[str, Callable[[_Points, int, int], Clusters]]] = MappingProxyType(
    {"kmeans": _kmeans, "even": _even, "imbalanced": _imbalanced, "magnitude": _magnitude}
)
