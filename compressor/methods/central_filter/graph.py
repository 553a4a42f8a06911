"""The similarity graph: where the threshold is, who is deleted, and who stands for whom.

Channels are nodes; an edge joins two whose similarity is above a threshold m. If of every component one node
survived, f(m) = nodes - components would be deleted. f counts the edges above m of a maximum spanning tree,
so the tree is all that a bisection on m needs.
"""

import math
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.channels.components import Ids, smallest_members
from compressor.steps.channels import DROPPED
from compressor.steps.choice import Choice

Matrix = NDArray[np.float64]
Edges = NDArray[np.bool_]
Mode = Literal["faithful", "root"]

_STEP: Final = 1e-7
"""How far bisection steps past a threshold that did not fit; the authors' number."""

_FAR: Final = 1024.0
"""What the authors subtract similarities from to get distances."""


@dataclass(frozen=True, slots=True)
class CentralChoice(Choice):
    """A choice with its delegates.

    Attributes:
        keep: surviving channels, ascending.
        into: the survivor that each channel merges into, `DROPPED` where its weights are lost.
        pairs: (centre, deleted) by ascending centre, (deleted, 2); in ``faithful`` mode a centre may itself
            be deleted.
    """

    pairs: Ids = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))


def spanning_tree(similarity: Tensor | Matrix) -> Matrix:
    """Return the similarity by which each channel joined a maximum spanning tree, (c,); inf for the first.

    Raises:
        UsageError: this is no matrix of similarities.
    """
    return _tree(_checked(similarity))


def threshold(similarity: Tensor | Matrix, remove: float) -> float:
    """Return the similarity above which channels are joined, so that one per component remains.

    As released: bisection from 1e-7 below the smallest to 1e-7 above the largest value, which forgets its
    lower end one step late. Ours differs only where that would delete too few, among values closer than 1e-7.

    Args:
        similarity: (c, c), symmetric, in [-1, 1].
        remove: channels to delete; a number that is no integer is a share of them, rounded up.

    Raises:
        UsageError: this is no matrix of similarities, or nothing would survive.
    """
    matrix = _checked(similarity)
    return _threshold(matrix, _tree(matrix), _count(remove, len(matrix)))


def choose(similarity: Tensor | Matrix, remove: float, mode: Mode = "faithful") -> CentralChoice:
    """Choose which channels are deleted and which stand for them.

    Nodes are visited by falling closeness, of equal closeness the lower index first. The first of its
    component is its central filter and is saved; each then deletes its neighbours that are neither deleted
    nor saved, and they are delegated to it - even if it is deleted itself.

    Args:
        similarity: (c, c), symmetric, in [-1, 1].
        remove: channels to delete; a number that is no integer is a share of them, rounded up.
        mode: ``faithful`` as released: weights are added by ascending centre, so what a deleted centre gets
            flows on only if its own centre comes later, and else is lost. ``root`` follows centres to one
            that survives, and where they run in a circle takes the component's central filter.

    Returns:
        Exactly as many survivors as asked.

    Raises:
        UsageError: this is no matrix of similarities, nothing would survive, or there is no such mode.
    """
    if mode not in get_args(Mode):
        raise UsageError(f"unknown mode {mode!r}", f"choose {' or '.join(get_args(Mode))}.")
    matrix = _checked(similarity)
    count = _count(remove, len(matrix))
    if count == 0:
        everything: Ids = np.arange(len(matrix))
        return CentralChoice(keep=everything, into=everything)
    edges = joined(matrix, _threshold(matrix, _tree(matrix), count))
    order = np.argsort(-closeness(matrix, edges), kind="stable")
    return delegated(edges, order, count, mode)


_ALIVE: Final = -1


def _checked(similarity: Tensor | Matrix) -> Matrix:
    matrix = similarity.detach().cpu().numpy() if isinstance(similarity, Tensor) else np.asarray(similarity)
    matrix = matrix.astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise UsageError(f"similarities of shape {matrix.shape} are no square", "give (channels, channels).")
    if not (np.abs(matrix) <= 1 + _STEP).all():  # False for NaN
        raise UsageError("similarities are NaN or not in [-1, 1]", "give correlations, see similarity().")
    if not np.allclose(matrix, matrix.T, rtol=0, atol=_STEP):
        raise UsageError("similarities are not symmetric", "give correlations, see similarity().")
    return matrix


def _count(remove: float, size: int) -> int:
    """Return how many of ``size`` channels are deleted."""
    count = int(remove) if isinstance(remove, int | np.integer) else math.ceil(size * remove)
    if remove < 0 or count >= size:
        raise UsageError(f"{remove} of {size} channels cannot be removed", "leave at least one.")
    return count


def _tree(matrix: Matrix) -> Matrix:
    """Grow the tree from the first channel (Prim, 1957); the work grows with channels squared."""
    size = len(matrix)
    nearest, joined = np.full(size, -np.inf), np.full(size, np.inf)
    outside = np.ones(size, dtype=bool)
    node = 0
    for _ in range(size - 1):
        outside[node] = False
        np.maximum(nearest, matrix[node], out=nearest, where=outside)
        node = int(np.where(outside, nearest, -np.inf).argmax())
        joined[node] = nearest[node]
    return joined


def _threshold(matrix: Matrix, tree: Matrix, count: int) -> float:
    links = np.sort(tree)[:-1]
    low, high = float(matrix.min()) - _STEP, float(matrix.max()) + _STEP
    best, enough = high, low
    while low < high:
        middle = (low + high) / 2
        deleted = _above(links, middle)
        if deleted == count:
            return middle
        if deleted < count:
            high = middle - _STEP
        else:
            best, enough = low, middle
            low = middle + _STEP
    return best if _above(links, best) >= count else enough


def _above(links: Matrix, value: float) -> int:
    return len(links) - int(np.searchsorted(links, value, side="right"))


def joined(matrix: Matrix, value: float) -> Edges:
    """Return who is joined to whom above a similarity, (c, c); nobody to itself."""
    edges: Edges = matrix > value
    edges |= edges.T
    np.fill_diagonal(edges, False)
    return edges


def closeness(matrix: Matrix, edges: Edges) -> Matrix:
    """Return degree over summed distance of each node, (c,); 0 for one without neighbours."""
    # A running sum adds one after the other, as the authors' loop does: near ties are decided by rounding.
    distance = np.cumsum(np.where(edges, _FAR - matrix, 0), axis=1)[:, -1]
    found: Matrix = edges.sum(axis=1) / np.maximum(distance, 1)
    return found


def delegated(edges: Edges, order: Ids, count: int, mode: Mode) -> CentralChoice:
    """Delete ``count`` nodes, visiting them in the given order."""
    component = smallest_members(len(edges), *np.nonzero(edges))
    centre, saved = np.full(len(edges), _ALIVE), np.full(len(edges), _ALIVE)
    for node in order:
        if saved[node] == _ALIVE:
            saved[component == component[node]] = node
        # Neighbours are of the same component: of those that are saved, only one can be among them.
        free = np.flatnonzero(edges[node] & (centre == _ALIVE))
        free = free[free != saved[node]][:count]
        centre[free] = node
        count -= len(free)
        if count == 0:
            break
    into = _FLOWS[mode](centre, saved)
    keep = np.flatnonzero(centre == _ALIVE)
    return CentralChoice(keep=keep, into=into, pairs=_pairs(into if mode == "root" else centre, centre))


def _as_released(centre: Ids, saved: Ids) -> Ids:
    into: Ids = np.arange(len(centre))
    for node in np.flatnonzero(centre != _ALIVE).tolist():
        at = int(centre[node])
        while at != DROPPED and centre[at] != _ALIVE:
            at = int(centre[at]) if centre[at] > at else DROPPED
        into[node] = at
    return into


def _to_root(centre: Ids, saved: Ids) -> Ids:
    into: Ids = np.where(centre == _ALIVE, np.arange(len(centre)), centre)
    for _ in range(len(centre).bit_length()):  # every round doubles how far each has looked
        into = into[into]
    return np.where(centre[into] == _ALIVE, into, saved)


_FLOWS: Final = {"faithful": _as_released, "root": _to_root}


def _pairs(stands: Ids, centre: Ids) -> Ids:
    deleted = np.flatnonzero(centre != _ALIVE)
    order = np.argsort(stands[deleted], kind="stable")
    return np.stack([stands[deleted], deleted], axis=1)[order]
