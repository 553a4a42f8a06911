"""First-order importance (Molchanov et al., Importance Estimation for Neural Network Pruning, 2019)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Member, Stat, mean_over


@CRITERIA.register("taylor")
@dataclass(frozen=True, slots=True)
class Taylor:
    """Score of a unit: (sum over its filter of w * dL/dw)^2, averaged over the layers that share the unit.

    The sum is the first-order change of the loss when the filter is set to zero. The gradient is the mean
    over the collected images.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset({Stat.GRADIENTS})
    comparable: ClassVar[bool] = True

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores.

        Raises:
            UsageError: gradients were not collected.
        """
        return mean_over(group.filters, [_change(m) ** 2 for m in group.filters], group.size)


def _change(member: Member) -> Tensor:
    if member.gradient is None:
        raise UsageError(
            f"taylor needs gradients of {member.tensor}",
            "give training images with --data, for instance digits.",
        )
    return (member.rows * member.gradient).sum(dim=1)
