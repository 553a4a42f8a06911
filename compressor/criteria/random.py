"""Random scores: the baseline that every criterion has to beat."""

import zlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat


@CRITERIA.register("random")
@dataclass(frozen=True, slots=True)
class Random:
    """Score of a unit: uniform in 0..1, by seed and group name.

    Attributes:
        seed: another seed gives another choice.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = True
    seed: int = 0

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores."""
        seed = zlib.crc32(f"{self.seed} {group.name}".encode())
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(group.size, generator=generator)
