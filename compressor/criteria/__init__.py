"""Criteria: how important each unit of a group is. One file each, found by name.

A criterion is a frozen dataclass of its own options. It sees a :class:`~compressor.criteria.view.GroupView`,
which stacks what belongs to each unit whatever the layers are, and returns one score per unit; higher means
keep.
"""

from typing import ClassVar, Protocol

from torch import Tensor

from compressor.criteria.view import GroupView, Stat
from compressor.registry import Registry


class Criterion(Protocol):
    """Scores the units of one group; pure.

    Attributes:
        needs: statistics that must be collected from data before.
        comparable: True where scores of different groups are on one scale as they are; others are divided
            by their group's mean before a global ranking.
    """

    needs: ClassVar[frozenset[Stat]]
    comparable: ClassVar[bool]

    def __call__(self, group: GroupView) -> Tensor:
        """Return one finite float score per unit, (units,)."""


CRITERIA: Registry[type[Criterion]] = Registry("criterion", "compressor.criteria")
