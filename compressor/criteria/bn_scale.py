"""Scale of the batch norm (Liu et al., Learning Efficient Convolutional Networks through Slimming, 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat, mean_over


@CRITERIA.register("bn_scale")
@dataclass(frozen=True, slots=True)
class BnScale:
    """Score of a unit: |gamma|, averaged over the norms that share the unit; 1 where there is no norm."""

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = True

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores."""
        norms = group.having("norm")
        return mean_over(norms, [m.rows.abs().mean(dim=1) for m in norms], group.size)
