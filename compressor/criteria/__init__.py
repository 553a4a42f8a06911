"""Criteria: how important each unit of a group is. One file each, found by name.

A criterion is a frozen dataclass of its own options. It sees a :class:`~compressor.criteria.view.GroupView`,
which stacks what belongs to each unit whatever the layers are, and returns one importance per unit; higher
means keep.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from compressor.base.options import with_options
from compressor.base.registry import Registry
from compressor.channels.components import Ids
from compressor.criteria.view import GroupView, Stat
from compressor.steps.choice import Choice


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


@runtime_checkable
class Chooser(Protocol):
    """A criterion that chooses by itself; of the others the most important units survive."""

    def choose(self, group: GroupView, importance: Ids, count: int) -> Choice:
        """Return which ``count`` units survive, and what the others merge into.

        Args:
            group: the group.
            importance: what the criterion gave its units, (units,).
            count: how many survive.
        """


CRITERIA: Registry[type[Criterion]] = Registry("criterion", "compressor.criteria")


def criterion_of(method: str, options: Mapping[str, object], seed: int) -> Criterion:
    """Return the criterion ``method`` with its options; one that is random gets the seed.

    Raises:
        UsageError: the criterion or an option does not exist, or an option has the wrong type.
    """
    return with_options(CRITERIA.get(method), method, options, seed)
