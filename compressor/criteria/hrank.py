"""Rank of feature maps (Lin et al., HRank: Filter Pruning using High-Rank Feature Map, 2020)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from compressor.base.modes import single_threaded
from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat, features_of, mean_over


@CRITERIA.register("hrank")
@dataclass(frozen=True, slots=True)
class HRank:
    """Score of a unit: matrix rank of its feature map, averaged over images and over layers that share it.

    The paper looks at maps after the ReLU that follows convolution and norm. Here maps are read after the
    norm (after the convolution where there is none) and rectified, whatever the model's activation is.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset({Stat.ACTIVATIONS})
    comparable: ClassVar[bool] = False

    def reduce(self, features: Tensor) -> Tensor:
        """Return the mean rank of each channel's maps, (batch, channels, h, w) -> (channels,).

        Singular values below max(h, w) * eps of the largest count as zero.
        """
        with single_threaded():
            ranks: Tensor = torch.linalg.matrix_rank(features.relu().float())
        return ranks.double().mean(dim=0)

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores.

        Raises:
            UsageError: feature maps were not collected.
        """
        return mean_over(group.filters, [features_of(m) for m in group.filters], group.size)
