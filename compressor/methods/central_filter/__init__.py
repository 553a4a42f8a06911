"""Central Filter: of channels whose feature maps are alike one survives, and stands for the others.

Channels are joined where their maps correlate (`similarity`), above a threshold that leaves as many
components as channels shall survive (`threshold`). The most central channel of each component is kept, and
the weights that read a deleted channel are added to those that read its centre (`choose`): as in the program
that its authors released, or so that nothing is lost.

Two things differ from that program whatever the mode. Maps are compared where they are read - behind norms,
activations and sums, before the next layer - by every layer that reads them, and the mean of these
similarities counts: one set per residual stage, where the program searches one by unions over its blocks. And
every layer that read a deleted channel reads its centre afterwards, shortcuts and later concatenations
included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.base.options import with_options
from compressor.criteria.view import GroupView, Stat
from compressor.methods import METHODS
from compressor.methods.central_filter.correlation import similarity
from compressor.methods.central_filter.graph import CentralChoice, Mode, choose, spanning_tree, threshold
from compressor.methods.ranked import Ranked
from compressor.steps.choice import Choice

__all__ = ["CentralChoice", "CentralFilter", "choose", "similarity", "threshold"]


@dataclass(frozen=True, slots=True)
class CentralFilter:
    """Choose and merge within one group; the importance of a unit says how far it is from the others.

    Attributes:
        mode: ``faithful`` or ``root``, see `choose`.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset({Stat.PAIRS})
    comparable: ClassVar[bool] = True

    mode: Mode = "root"

    def compare(self, maps: Tensor) -> Tensor:
        """Return mean similarities, (images, units, positions) -> (units, units)."""
        return similarity(maps)

    def __call__(self, group: GroupView) -> Tensor:
        """Return 1 - the similarity by which each unit is joined to others, (units,); 2 for the first.

        As many units are below 1 - m as a threshold of m deletes, so that a ranking over all groups is one
        threshold for all of them.

        Raises:
            UsageError: feature maps were not collected.
        """
        joined = spanning_tree(_pairs(group))
        return torch.from_numpy(np.where(np.isinf(joined), 2, 1 - joined))

    def choose(self, group: GroupView, importance: np.ndarray, count: int) -> Choice:
        """Return which ``count`` units survive, and which of them the others merge into."""
        return choose(_pairs(group), group.size - count, self.mode)


def _pairs(group: GroupView) -> Tensor:
    if group.pairs is None:
        raise UsageError(
            f"no feature maps were collected for {group.name}",
            "what reads it must be nn.Conv or nn.Linear, and behind global pooling needs several images at a "
            "time; or leave it whole with --keep.",
        )
    return group.pairs


@METHODS.register("central_filter")
def central_filter(options: Mapping[str, object], seed: int) -> Ranked:
    """Return the method: everything is chosen at once, nothing is trained before the cut.

    Raises:
        UsageError: an option does not exist or has a wrong value.
    """
    return Ranked(with_options(CentralFilter, "central_filter", options, seed))
