"""L1 norm of the filters (Li et al., Pruning Filters for Efficient ConvNets, 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat, mean_over


@CRITERIA.register("l1")
@dataclass(frozen=True, slots=True)
class L1:
    """Score of a unit: sum |w| over its filter, averaged over the layers that share the unit."""

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = False

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores."""
        return mean_over(group.filters, [m.rows.abs().sum(dim=1) for m in group.filters], group.size)
