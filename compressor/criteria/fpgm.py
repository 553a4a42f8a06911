"""Distance from the geometric median (He et al., Filter Pruning via Geometric Median, 2019)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat, mean_over


@CRITERIA.register("fpgm")
@dataclass(frozen=True, slots=True)
class Fpgm:
    """Score of a unit: sum_m ||w_n - w_m||_2 over the filters of its layer, averaged over sharing layers.

    A filter near the geometric median can be replaced by the others, so that small sums go first.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = False

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores."""
        return mean_over(group.filters, [_distances(m.rows) for m in group.filters], group.size)


def _distances(rows: Tensor) -> Tensor:
    # The matrix-product form of cdist loses digits between near-equal filters, which decide here.
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1)
