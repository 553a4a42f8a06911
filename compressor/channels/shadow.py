"""Shadows: which channel each value of a tensor came from.

A shadow is a tuple of *factors*. A factor is an int64 tensor with as many axes as the value it shadows, of
size 1 along the axes on which it is uniform. An activation has one factor, which varies along its channel
axis; a weight has one per axis; a matrix product takes one from each operand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

Factor = Tensor


@dataclass(frozen=True, slots=True)
class Shadow:
    """The factors of one tensor.

    Attributes:
        factors: int64 tensors, broadcastable to the tensor.
        from_weights: True where the tensor was computed from parameters and buffers alone.
    """

    factors: tuple[Factor, ...]
    from_weights: bool = False

    def along(self, axis: int) -> list[Factor]:
        """Return the factors that vary along ``axis``."""
        return [f for f in self.factors if f.shape[axis] > 1]

    def across(self, axis: int) -> list[Factor]:
        """Return the factors that do not vary along ``axis``."""
        return [f for f in self.factors if f.shape[axis] == 1]


PLAIN: Final = Shadow(())
"""The shadow of a tensor that carries no channels."""


def varying(factor: Factor) -> frozenset[int]:
    """Return the axes along which a factor varies."""
    return frozenset(i for i, n in enumerate(factor.shape) if n > 1)


def on_axis(ids: Tensor, axis: int, ndim: int) -> Factor:
    """Return a vector of ids as a factor that varies along ``axis`` only."""
    shape = [1] * ndim
    shape[axis] = -1
    return ids.reshape(shape)


def align(factor: Factor, ndim: int) -> Factor:
    """Add leading axes of size 1, as broadcasting does."""
    return factor.reshape((1,) * (ndim - factor.ndim) + tuple(factor.shape)) if factor.ndim < ndim else factor


def compact(factor: Factor) -> Factor:
    """Reduce every axis along which the ids repeat to size 1."""
    for axis, size in enumerate(factor.shape):
        if size > 1 and (factor.stride(axis) == 0 or _uniform(factor, axis)):
            factor = factor.narrow(axis, 0, 1)
    return factor


def _uniform(factor: Factor, axis: int) -> bool:
    first = factor.narrow(axis, 0, 1)
    probe = factor.narrow(axis, factor.shape[axis] - 1, 1)
    return bool(torch.equal(first, probe)) and bool((factor == first).all())


def mapped(factor: Factor, shape: torch.Size, operation: Callable[[Tensor], Tensor]) -> Factor:
    """Execute a shape operation on a factor: expand to the value's shape for free, apply, compact."""
    return compact(operation(factor.expand(shape)))
