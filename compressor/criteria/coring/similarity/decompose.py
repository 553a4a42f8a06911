"""Factors of filters: orthonormal directions along each axis of a filter, without its magnitude.

The mode-m unfolding of a filter (d_1, ..., d_M) is the matrix (d_m, product of the others). ``hosvd`` takes
the first left singular vectors of each unfolding (De Lathauwer et al., A Multilinear Singular Value
Decomposition, 2000), ``svd`` the left and right ones of the first unfolding alone, ``tucker`` refines the
former by alternating least squares (:mod:`compressor.criteria.coring.similarity.tucker`).
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.base.modes import single_threaded
from compressor.criteria.coring.similarity.lookup import known
from compressor.criteria.coring.similarity.tucker import hooi, leading, left_singular, unfold

Decomposer = Callable[[Tensor, int], list[Tensor]]
"""(filters, d_1, ..., d_M) and a rank -> factors, each (filters, dim, columns)."""

_TIE: Final = 1e-6
"""Entries this close to the largest, relatively, compete for it by position, whatever the rounding."""


def hosvd(filters: Tensor, rank: int) -> list[Tensor]:
    """Return the first ``rank`` left singular vectors of every unfolding, one factor per axis."""
    first = unfold(filters, 1)
    if filters.dtype == torch.float64 and first.shape[1] > first.shape[2]:
        return _hosvd_of_tall(first, filters.shape[2:], rank)
    return [left_singular(unfold(filters, mode), rank) for mode in range(1, filters.ndim)]


def _hosvd_of_tall(first: Tensor, dims: Sequence[int], rank: int) -> list[Tensor]:
    """Do the same where the first axis is longer than the others, ``dims``, together.

    The Gram matrix of the columns of the first unfolding, indexed (p, q), (p', q') by positions on an axis
    and on all others, gives that axis's own Gram matrix as its trace over q = q'.
    """
    gram = first.mT @ first
    found = [left_singular(first, rank, gram)]
    for axis, size in enumerate(dims):
        before, after = prod(dims[:axis]), prod(dims[axis + 1 :])
        split = gram.reshape(-1, before, size, after, before, size, after)
        found.append(leading(torch.einsum("fbiabja->fij", split), rank))
    return found


def svd(filters: Tensor, rank: int) -> list[Tensor]:
    """Return the first ``rank`` left and right singular vectors of the first unfolding, two factors."""
    left, _, right = torch.linalg.svd(unfold(filters, 1), full_matrices=False)
    return [left[:, :, :rank], right.mT[:, :, :rank]]


DECOMPOSERS: Final[Mapping[str, Decomposer]] = MappingProxyType({"hosvd": hosvd, "svd": svd, "tucker": hooi})


def factors(weight: Tensor, decomposer: str = "hosvd", rank: int = 1, compat: bool = False) -> list[Tensor]:
    """Decompose every filter of a layer.

    Args:
        weight: (filters, ...), usually (filters, in, kh, kw); one axis after the first is enough.
        decomposer: ``hosvd``, ``svd`` or ``tucker``.
        rank: columns per factor; fewer where an unfolding has fewer singular vectors.
        compat: do what the authors' program does: float32, the sign that LAPACK happens to return, and
            factors along axes of length 1 included. Otherwise float64, the largest entry of each column
            is positive, and factors of length 1, which cannot tell filters apart, are left out.

    Returns:
        Factors, each (filters, dim, columns) on the CPU; none if every axis has length 1.

    Raises:
        UsageError: the decomposer does not exist, the rank is not positive, or the weight is not finite.
    """
    decompose = known("decomposer", DECOMPOSERS, decomposer)
    weight = weight.detach().cpu()
    with single_threaded():
        _check(weight, rank)
        if compat:
            return decompose(weight.float(), rank)
        return [_with_fixed_sign(f) for f in decompose(weight.double(), rank) if f.shape[1] > 1]


def _check(weight: Tensor, rank: int) -> None:
    if rank < 1:
        raise UsageError(
            f"rank of the decomposition is {rank}", "give a rank from 1 up; 1 is the published one."
        )
    if weight.ndim < 2:
        raise UsageError(
            f"a weight of shape {tuple(weight.shape)} has no filters",
            "give a weight of (filters, in, kh, kw).",
        )
    if not bool(weight.sum(dtype=torch.float64).isfinite()):  # one pass; NaN and infinity survive any sum
        raise UsageError(
            "filters hold NaN or infinity and cannot be decomposed",
            "check the checkpoint for diverged training.",
        )


def _with_fixed_sign(factor: Tensor) -> Tensor:
    """Flip columns so that their largest entry is positive."""
    size = factor.abs()
    first = (size >= size.amax(dim=1, keepdim=True) * (1 - _TIE)).int().argmax(dim=1, keepdim=True)
    return factor * torch.where(factor.gather(1, first) < 0, -1.0, 1.0)
