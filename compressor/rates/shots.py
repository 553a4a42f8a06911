"""Cutting in several shots: how much each of them removes.

Shot s of K, counted from 0, aims at 1 / (K - s) of the whole cut, always measured on the dense model, so that
the last one reaches all of it. Rates r of a published string become r / (K - s), and widths are still
int(c * (1 - r)) of the dense widths c: the rule of CORING's k-shot program.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compressor.channels.graph import ChannelGraph, module_of
from compressor.errors import UsageError
from compressor.rates.layout import Layout
from compressor.types import RateSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One of several.

    Attributes:
        number: counted from 1.
        total: how many there are.
    """

    number: int
    total: int

    @property
    def divisor(self) -> int:
        """K - s: the cut so far is the whole cut divided by this."""
        return self.total - self.number + 1


ONLY = Shot(number=1, total=1)
"""A cut that is made at once."""


@dataclass(frozen=True, slots=True)
class ShotLayout:
    """A layout that reads the rates of one shot, against the widths of the dense model.

    Attributes:
        inner: the architecture's own layout.
        divisor: rates are divided by this.
        dense: module path -> channels of the dense model.
    """

    inner: Layout
    divisor: int
    dense: Mapping[str, int]

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means, as for the whole cut."""
        return self.inner.expected

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> channels to keep after the shot, never more than there are now."""
        widths = self.inner.widths([rate / self.divisor for rate in rates], self.dense)
        return {path: min(width, sizes[path]) for path, width in widths.items()}


def dense_widths(graph: ChannelGraph) -> dict[str, int]:
    """Return module path -> channels of every producer of a traced dense model."""
    return {module_of(entry.tensor): entry.size for entry in graph.axes if entry.role == "producer"}


def spec_of_shot(spec: RateSpec, shot: Shot, left: float) -> RateSpec:
    """Return what one shot asks of a model that earlier shots have cut already.

    A published string stays as it is, because ``ShotLayout`` reads it. Shares are asked relative to what is
    left. No shot may take more from a group than its part of the whole cut, in logarithms, so that all shots
    together keep to ``max_rate``.

    Args:
        spec: the whole cut, relative to the dense model.
        shot: which shot.
        left: share of the dense model's MACs or parameters that earlier shots left; other targets ignore it.

    Raises:
        UsageError: the target is no share.
    """
    if shot.total == 1:
        return spec
    own = tuple((pattern, 1 - _between(1 - rate, shot)) for pattern, rate in spec.own_rates)
    spec = replace(spec, own_rates=own)
    if spec.target == "rates":
        return spec
    if not 0 <= spec.fraction <= 1:
        raise UsageError(f"--{spec.target} {spec.fraction} is no share", "give a number from 0 to 1.")
    final = 1 - spec.fraction if spec.target == "rate" else spec.fraction
    step = _between(final, shot)
    relative = 1 - step if spec.target == "rate" else min(1.0, _share(final, shot.divisor) / left)
    part = math.log(step) / math.log(final) if 0 < final < 1 else 1 / shot.total
    return replace(spec, fraction=relative, max_rate=1 - (1 - spec.max_rate) ** part)


def _between(final: float, shot: Shot) -> float:
    """Return what a shot leaves of what the shots before it left."""
    before = _share(final, shot.divisor + 1) if shot.number > 1 else 1.0
    return _share(final, shot.divisor) / before


def _share(final: float, divisor: int) -> float:
    """Return what is left of the dense model when 1 / divisor of the cut is done."""
    return 1 - (1 - final) / divisor
