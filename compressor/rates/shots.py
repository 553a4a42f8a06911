"""Cutting in several shots: how much each of them removes.

Shot s of K, counted from 0, aims at 1 / (K - s) of the whole cut, always measured on the dense model, so that
the last one reaches all of it. Rates r of a published string become r / (K - s), and widths are still
int(c * (1 - r)) of the dense widths c: the rule of CORING's k-shot program.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from compressor.channels.graph import ChannelGraph, module_of
from compressor.rates.layout import Layout
from compressor.rates.request import PruneRequest
from compressor.rates.targets import Budget, Published, Share, Target


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What a network costs in one price, before the first shot and now.

    Attributes:
        dense: price of the dense model.
        now: price of what earlier shots have left.
    """

    dense: float
    now: float


def request_of_shot(request: PruneRequest, shot: Shot, paid: Callable[[str], Paid]) -> PruneRequest:
    """Return what one shot asks of a model that earlier shots have cut already.

    A published string stays as it is, because ``ShotLayout`` reads it. Shares are asked relative to what is
    left, amounts as they are. No shot may take more from a group than its part of the whole cut, in
    logarithms, so that all shots together keep to ``max_rate``.

    Args:
        request: the whole cut, relative to the dense model.
        shot: which shot.
        paid: name of a price -> what the models cost; asked only where the target is a budget.
    """
    if shot.total == 1:
        return request
    own = tuple((pattern, 1 - _between(1 - rate, shot)) for pattern, rate in request.own_rates)
    request = replace(request, own_rates=own)
    match request.target:
        case Published():
            return request
        case Share(rate):
            final = 1 - rate
            target: Target = Share(1 - _between(final, shot))
        case Budget() as whole:
            target, final = _budget_of_shot(whole, shot, paid(whole.price))
    part = math.log(_between(final, shot)) / math.log(final) if 0 < final < 1 else 1 / shot.total
    return replace(request, target=target, max_rate=1 - (1 - request.max_rate) ** part)


def _budget_of_shot(whole: Budget, shot: Shot, paid: Paid) -> tuple[Budget, float]:
    """Return what may remain after a shot, and the share of the dense model that remains after the last."""
    if whole.fraction is not None:
        left = _share(whole.fraction, shot.divisor) / (paid.now / paid.dense)
        return replace(whole, fraction=min(1.0, left)), whole.fraction
    assert whole.absolute is not None
    cut = (paid.dense - whole.absolute) / shot.divisor
    return replace(whole, absolute=paid.dense - cut), min(1.0, whole.absolute / paid.dense)


def _between(final: float, shot: Shot) -> float:
    """Return what a shot leaves of what the shots before it left."""
    before = _share(final, shot.divisor + 1) if shot.number > 1 else 1.0
    return _share(final, shot.divisor) / before


def _share(final: float, divisor: int) -> float:
    """Return what is left of the dense model when 1 / divisor of the cut is done."""
    return 1 - (1 - final) / divisor
