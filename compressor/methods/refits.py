"""What layers would become that read fewer units: fitted again to what they made of all, in closed form.

For a layer that makes W X and may read only the columns K,

    W' = argmin |W X - W' X|^2 + ridge |W - W'|^2  =  (W G_K + ridge W_K) (G_KK + ridge)^-1,    G = X X^T

as ``compress repair`` fits layers, but each by itself, behind a network that is dense everywhere else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compressor.channels.components import Ids
from compressor.criteria.readers import columns_of, held, like_weight, rows_of
from compressor.criteria.view import GroupView, Member

_RIDGE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """How a fitted layer differs.

    Attributes:
        width: units that it reads.
        tensor: name of its weight.
        weight: what the fit adds to it.
        shift: what it adds to the outputs, (outputs,): the mean of what the weight adds, the other way round.
    """

    width: int
    tensor: str
    weight: Tensor
    shift: Tensor


def changes(group: GroupView, order: Ids, widths: Sequence[int]) -> Iterator[Change]:
    """Yield the change of every reader that is known, at every width.

    Args:
        group: with the spread of what its readers read.
        order: its units, the least important first.
        widths: units that are kept.
    """
    for member in group.members:
        if member.spread is not None:
            yield from _of(member, group.size, order, widths)


def _of(member: Member, units: int, order: Ids, widths: Sequence[int]) -> Iterator[Change]:
    assert member.spread is not None
    gram, columns = member.spread.gram, columns_of(member, units)
    weight = rows_of(member).reshape(len(gram), -1, gram.shape[-1])  # groups, outputs, columns
    pull = held(gram, _RIDGE)
    for width in widths:
        gone = columns[torch.from_numpy(np.ascontiguousarray(order[: units - width]))].flatten()
        rows = _change(weight, gram, pull, gone)
        yield Change(
            width=width, tensor=member.tensor, weight=like_weight(rows.flatten(0, 1), member).float(),
            shift=_shift(member, rows).float(),
        )  # fmt: skip


def _shift(member: Member, rows: Tensor) -> Tensor:
    """Return what makes up for the mean of a change, (groups, outputs, columns); taps share one value."""
    assert member.spread is not None
    outputs = len(member.spread.scale)
    if member.spread.mean is None:
        return rows.new_zeros(outputs)
    moved = torch.einsum("goc,gc->go", rows, member.spread.mean)
    return -moved.reshape(outputs, -1).mean(1)


def _change(weight: Tensor, gram: Tensor, pull: Tensor, gone: Tensor) -> Tensor:
    """Return what the fit adds to weights, (groups, outputs, columns); the columns that are gone lose all."""
    stays = torch.ones(gram.shape[-1], dtype=torch.bool)
    stays[gone] = False
    kept = stays.nonzero()[:, 0]
    # What is missing, as the columns that stay see it: W' - W on them solves the same equations with W_S X_S.
    missing = weight[:, :, gone] @ gram[:, gone][:, :, kept]
    within = gram[:, kept][:, :, kept] + torch.diag_embed(pull[:, None].expand(-1, len(kept)))
    factor = torch.linalg.cholesky(within)
    change = torch.zeros_like(weight)
    change[:, :, gone] = -weight[:, :, gone]
    change[:, :, kept] = torch.cholesky_solve(missing.transpose(1, 2), factor).transpose(1, 2)
    return change
