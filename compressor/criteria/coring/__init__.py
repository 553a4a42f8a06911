"""CORING: keep filters that are unlike the others (Pham et al., Enhanced Network Compression, 2024).

The computation itself is in :mod:`compressor.criteria.coring.similarity`; here it meets groups of channels.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria.coring.similarity import (
    DECOMPOSERS,
    METRICS,
    STRATEGIES,
    factors,
    pairwise,
    saliency,
)
from compressor.criteria.coring.similarity.lookup import known
from compressor.criteria.view import GroupView, Member, Stat, mean_over

__all__ = ["Coring", "factors", "pairwise", "saliency"]


@CRITERIA.register("coring")
@dataclass(frozen=True, slots=True)
class Coring:
    """Score of a unit: the step of a greedy elimination of similar filters at which it would go.

    Layers that share units are ranked alone and their scores averaged; the greedy strategies give ranks
    0 .. units - 1 in every layer, so that no layer outweighs another. Where a unit owns several filters of a
    layer (grouped convolutions), they are stacked along the input axis and compared as one.

    Attributes:
        decomposer: ``hosvd`` (published), ``svd`` or ``tucker``.
        metric: ``vbd`` (published), ``euclidean``, ``cosine``, ``manhattan``, ``snr`` or ``pearson``.
        strategy: ``min_sum`` (published), ``min_min`` or ``sum``.
        rank: columns per factor.
        compat: reproduce the authors' program bug for bug. Signs of singular vectors are LAPACK's, and on
            1x1 and depthwise convolutions the variance metrics are NaN, so that their units are scored by
            index. Otherwise signs are fixed and axes of length 1 are left out; a layer with no other axis
            has no say.

    Raises:
        UsageError: a decomposer, metric or strategy does not exist.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = False
    decomposer: str = "hosvd"
    metric: str = "vbd"
    strategy: str = "min_sum"
    rank: int = 1
    compat: bool = False

    def __post_init__(self) -> None:
        known("decomposer", DECOMPOSERS, self.decomposer)
        known("metric", METRICS, self.metric)
        known("strategy", STRATEGIES, self.strategy)

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores.

        Raises:
            UsageError: weights are not finite, or the rank is not positive.
        """
        decomposed = [(member, self._factors(member)) for member in group.filters]
        telling = [(member, found) for member, found in decomposed if found]
        return mean_over([m for m, _ in telling], [self._score(found) for _, found in telling], group.size)

    def _factors(self, member: Member) -> list[Tensor]:
        filters = member.rows.reshape(len(member.rows), -1, *member.shape[1:])
        return factors(filters, self.decomposer, self.rank, self.compat)

    def _score(self, found: list[Tensor]) -> Tensor:
        scores = saliency(pairwise(found, self.metric), self.metric, self.strategy)
        # NaN reaches this point only in compat mode; sorting NaN leaves the authors with index order.
        return torch.arange(len(scores)).double() if bool(scores.isnan().any()) else scores
