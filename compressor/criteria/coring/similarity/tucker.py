"""Higher-order orthogonal iteration for a batch of tensors.

De Lathauwer et al., On the Best Rank-1 and Rank-(R1, ..., RN) Approximation of Higher-Order Tensors, 2000.

Finds orthonormal factors U_m that keep most of each tensor X: for each mode in turn, U_m becomes the leading
left singular vectors of X contracted with all other factors. A tensor is done when its relative error
sqrt(|X|^2 - |core|^2) / |X| changes by less than a tolerance; the others go on without it.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

MAX_SWEEPS: Final = 100
TOLERANCE: Final = 1e-4
_LEAST_SHARE: Final = 1e-4
"""Of the largest eigenvalue of a Gram matrix; above it, X v / |X v| is right to about 1e-10."""

_FIRST_CHECK: Final = 2
"""Sweep (0-based) from which convergence is checked; with the two above, the defaults of the reference."""


def unfold(tensors: Tensor, mode: int) -> Tensor:
    """Return the unfolding along axis ``mode`` of each tensor of a batch, (batch, dim, all others)."""
    return tensors.movedim(mode, 1).flatten(2) if tensors.ndim > 2 else tensors[:, :, None]


def left_singular(matrices: Tensor, rank: int, gram: Tensor | None = None) -> Tensor:
    """Return the first left singular vectors, (batch, rows, at most ``rank``).

    In float32 they are LAPACK's, sign included. In float64 they come from the eigenvectors of the smaller
    Gram matrix, several times as fast, where what squaring loses stays far below float32's resolution.

    Args:
        matrices: (batch, rows, columns).
        rank: how many vectors.
        gram: X^T X of each matrix, (batch, columns, columns), where it is known already.
    """
    if matrices.dtype == torch.float64:
        if matrices.shape[1] <= matrices.shape[2]:
            return leading(matrices @ matrices.mT, rank)
        found = _from_columns(matrices, matrices.mT @ matrices if gram is None else gram, rank)
        if found is not None:
            return found
    left: Tensor = torch.linalg.svd(matrices, full_matrices=False)[0]
    return left[:, :, :rank]


def leading(gram: Tensor, rank: int) -> Tensor:
    """Return the eigenvectors of the largest eigenvalues, (batch, size, at most ``rank``), largest first."""
    vectors: Tensor = torch.linalg.eigh(gram)[1]
    return vectors[:, :, -rank:].flip(2)


def _from_columns(matrices: Tensor, gram: Tensor, rank: int) -> Tensor | None:
    """Return left singular vectors X v / |X v|, v eigenvectors of X^T X; None where X v is mostly noise."""
    values, vectors = torch.linalg.eigh(gram)
    largest, smallest = values[:, -1], values[:, -rank:].amin(dim=1)
    if not bool((smallest > largest * _LEAST_SHARE).all()):
        return None
    # v^T X^T reads both factors along their rows, which is several times as fast as X v.
    left = (vectors[:, :, -rank:].flip(2).mT @ matrices.mT).mT
    unit: Tensor = left / left.norm(dim=1, keepdim=True)
    return unit


def hooi(tensors: Tensor, rank: int) -> list[Tensor]:
    """Return the Tucker factors of each tensor.

    Args:
        tensors: (batch, d_1, ..., d_M).
        rank: columns per factor; at most d_m and the product of the other factors' columns.

    Returns:
        M factors, (batch, d_m, columns), in the dtype of ``tensors``.
    """
    modes = range(1, tensors.ndim)
    found = [left_singular(unfold(tensors, mode), rank) for mode in modes]
    running = torch.arange(len(tensors))
    error = tensors.new_zeros(len(tensors))
    for sweep in range(MAX_SWEEPS):
        improved, latest = _sweep(tensors[running], [f[running] for f in found], rank)
        found = [_replaced(old, running, new) for old, new in zip(found, improved, strict=True)]
        change = (error[running] - latest).abs()
        error = error.index_copy(0, running, latest)
        if sweep >= _FIRST_CHECK:
            running = running[change >= TOLERANCE]
        if not len(running):
            break
    return found


def _sweep(tensors: Tensor, factors: list[Tensor], rank: int) -> tuple[list[Tensor], Tensor]:
    """Update every factor once; return them with the relative error of each tensor, (batch,)."""
    for index in range(len(factors)):
        others = [(m, f) for m, f in enumerate(factors, start=1) if m != index + 1]
        factors[index] = left_singular(unfold(_contracted(tensors, others), index + 1), rank)
    core = _contracted(tensors, list(enumerate(factors, start=1))).flatten(1).norm(dim=1)
    whole = tensors.flatten(1).norm(dim=1)
    tiny = torch.finfo(tensors.dtype).tiny
    return factors, (whole.square() - core.square()).abs().sqrt() / whole.clamp_min(tiny)


def _contracted(tensors: Tensor, factors: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Multiply each tensor by the transposed factors along the given axes."""
    for mode, factor in factors:
        tensors = torch.einsum("b...d,bdr->b...r", tensors.movedim(mode, -1), factor).movedim(-1, mode)
    return tensors


def _replaced(old: Tensor, rows: Tensor, new: Tensor) -> Tensor:
    """Return ``old`` with some rows replaced; a sweep can only find fewer columns, and then for all."""
    return new if len(rows) == len(old) else old[:, :, : new.shape[2]].index_copy(0, rows, new)
