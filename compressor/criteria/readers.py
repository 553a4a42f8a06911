"""Layers that read the units of a group, as least squares problems of their own."""

import torch
from torch import Tensor

from compressor.criteria.view import Member


def rows_of(member: Member) -> Tensor:
    """Return the weights of a reader, one row per output, (outputs, columns), float64.

    Of a transposed layer each tap is an output of its own.
    """
    values = member.values.double()
    if member.axis == 0:
        values = values.movedim(0, -1).flatten(0, -2)
    return values.flatten(1)


def like_weight(rows: Tensor, member: Member) -> Tensor:
    """Return rows, (outputs, columns), in the shape of the reader's weight."""
    shape = member.values.shape
    if member.axis == 0:
        return rows.reshape(*shape[1:], shape[0]).movedim(-1, 0)
    return rows.reshape(shape)


def columns_of(member: Member, units: int) -> Tensor:
    """Return which columns of its rows read each unit, (units, columns per unit)."""
    kernel = 1 if member.axis == 0 else member.values[0, 0].numel()
    positions = torch.arange(units)[:, None] if member.positions is None else member.positions.cpu()
    return (positions[:, :, None] * kernel + torch.arange(kernel)).flatten(1)


def held(gram: Tensor, ridge: float) -> Tensor:
    """Return what is added to the diagonals of Gram matrices so that weights are held, (groups,).

    Args:
        gram: the matrices, (groups, columns, columns).
        ridge: relative to the mean variance of an input.
    """
    level = gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=torch.finfo(torch.float32).tiny)
    return ridge * level
