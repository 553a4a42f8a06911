"""L2 norm of the filters (He et al., Soft Filter Pruning, 2018)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat, mean_over


@CRITERIA.register("l2")
@dataclass(frozen=True, slots=True)
class L2:
    """Score of a unit: Euclidean norm of its filter, averaged over the layers that share the unit."""

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = False

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores."""
        return mean_over(group.filters, [m.rows.norm(dim=1) for m in group.filters], group.size)
