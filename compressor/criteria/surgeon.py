"""What no repair could make up for: units are taken away one by one, the readers fitted again each time.

Optimal Brain Surgeon (Hassibi and Stork, 1993) for whole channels, one layer at a time, as ThiNet (Luo et
al., 2017) asks what the next layer loses. For a layer that reads X and a set S of its columns,

    min |W X - W' X|^2 + ridge |W - W'|^2   with W'_S = 0   is   tr W_S (H^-1_SS)^-1 W_S^T

with H = X X^T + ridge. With W and H^-1 brought up to date after each unit, that is what the next adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA
from compressor.criteria.readers import columns_of, held, rows_of
from compressor.criteria.view import GroupView, Member, Stat


@CRITERIA.register("surgeon")
@dataclass(frozen=True, slots=True)
class Surgeon:
    """Score of a unit: error that its removal adds in the layers that read it, after the best repair.

    Units are removed greedily, each time the one that costs least, down to the last. The error of a layer is
    a share of what its output varies; that of a unit is summed over the layers that read it, and never
    smaller than that of one removed before. Made for cuts that are repaired: ``--repair``.

    Attributes:
        ridge: how much weights are held, relative to the mean variance of an input.

    Raises:
        UsageError: the ridge is not above 0.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset({Stat.SPREADS})
    comparable: ClassVar[bool] = True

    ridge: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.ridge < float("inf"):
            raise UsageError(f"option ridge of surgeon is {self.ridge}", "give a number above 0.")

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores.

        Raises:
            UsageError: nothing is known of what the layers read.
        """
        readers = [_Reader(member, group.size, self.ridge) for member in group.members if member.spread]
        if not readers:
            raise UsageError(
                f"nothing is known of the layers that read {group.name}",
                "they must be nn.Conv or nn.Linear and run; or leave it whole with --keep.",
            )
        order, costs = removed(readers, group.size)
        scores = torch.empty(group.size, dtype=torch.float64)
        scores[order] = costs.cummax(0).values
        return scores


def removed(readers: Sequence["_Reader"], units: int) -> tuple[Tensor, Tensor]:
    """Return units in the order of removal, and what each adds to the errors of the readers."""
    alive, order, costs = torch.arange(units), [], []
    while len(alive):
        added = torch.stack([reader.losses(alive) for reader in readers]).sum(0)
        least = int(added.argmin())
        order.append(int(alive[least]))
        costs.append(float(added[least]))
        for reader in readers if len(alive) > 1 else ():
            reader.remove(order[-1])
        alive = torch.cat([alive[:least], alive[least + 1 :]])
    return torch.tensor(order), torch.tensor(costs, dtype=torch.float64)


class _Reader:
    """A layer that reads the units, as its least squares problem."""

    def __init__(self, member: Member, units: int, ridge: float) -> None:
        assert member.spread is not None
        gram, scale = member.spread.gram, member.spread.scale
        rows = rows_of(member)
        rows = rows * scale.repeat_interleave(len(rows) // len(scale))[:, None]
        self._weight = rows.reshape(len(gram), -1, gram.shape[-1])  # groups, outputs, columns
        self._energy = float(torch.einsum("goc,gcd,god->", self._weight, gram, self._weight))
        pull = torch.diag_embed(held(gram, ridge)[:, None].expand(-1, gram.shape[-1]))
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram + pull))
        self._columns = columns_of(member, units)

    def losses(self, alive: Tensor) -> Tensor:
        """Return what the removal of each of some units would add now, as a share, (alive,)."""
        columns = self._columns[alive]
        blocks = self._inverse[:, columns[:, :, None], columns[:, None, :]]
        weights = self._weight[:, :, columns].permute(0, 2, 3, 1)  # groups, alive, columns, outputs
        added: Tensor = (weights * torch.linalg.solve(blocks, weights)).sum((0, 2, 3))
        return added / max(self._energy, torch.finfo(torch.float64).tiny)

    def remove(self, unit: int) -> None:
        """Take a unit away, and let the others make up for it."""
        columns = self._columns[unit]
        block = self._inverse[:, columns[:, None], columns]
        gain = torch.linalg.solve(block, self._inverse[:, columns])  # groups, columns of the unit, columns
        self._weight.baddbmm_(self._weight[:, :, columns], gain, alpha=-1)
        self._inverse.baddbmm_(self._inverse[:, :, columns], gain, alpha=-1)
