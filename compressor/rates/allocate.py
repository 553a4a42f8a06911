"""Decide how many units each group keeps.

Three kinds of target: a published string, one rate for all, a budget in some price. A budget is met by
looking at the members of a family of shrinking networks from the largest on, rounding, protection and own
rates of single groups included, until one is cheap enough: no price is taken to fall with every unit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import UsageError
from compressor.channels.components import Ids
from compressor.channels.cost import kept_units
from compressor.channels.graph import ChannelGraph
from compressor.channels.groups import ChannelGroup
from compressor.rates.additive import Additive
from compressor.rates.families import Family, Scores, Uniform, Units, ranked, uniform
from compressor.rates.held import held
from compressor.rates.layout import Layout
from compressor.rates.prices import PRICES, Price
from compressor.rates.published import published
from compressor.rates.request import PruneRequest
from compressor.rates.rounding import Rounding, rounding
from compressor.rates.targets import Budget, Published, Share
from compressor.rates.worth import Effect, Levels, Search, levels_of
from compressor.steps.decisions import GroupDecision

_AT_ONCE: Final = 512
"""Members that are priced together: few enough to stay in the processor's cache."""
_NOT_MEASURED: Final[Mapping[int, Effect]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many units each group keeps, and what was decided for each.

    Attributes:
        kept: units per group, (groups,).
        decisions: requested and kept, with reasons.
    """

    kept: Ids
    decisions: tuple[GroupDecision, ...]


def allocate(
    graph: ChannelGraph,
    request: PruneRequest,
    scores: Scores,
    layouts: Mapping[str, Layout],
    arch: str,
    effects: Mapping[int, Effect] = _NOT_MEASURED,
) -> Allocation:
    """Resolve a request against a traced model.

    Args:
        graph: the traced model.
        request: what is asked.
        scores: group index -> (units,), higher means keep, comparable between groups; for global ranking.
        layouts: the architecture's rate layouts by name.
        arch: its name, for messages.
        effects: of the widths of all free groups, for ``worth``; importance decides without.

    Raises:
        UsageError: the request cannot be met or makes no sense for this model.
    """
    settled = held(graph, request, arch)
    rounded = rounding(graph, request.round_to)
    match request.target:
        case Published() as target:
            requested = published(graph, target, layouts, arch, settled.units)
        case Share() if request.scope == "worth":
            raise UsageError(
                "--scope worth buys what a budget pays for, and a rate is none",
                "give --macs, --params or --latency.",
            )
        case Share(rate):
            requested = _shared(graph, request, rate, scores, settled.units)
        case Budget() as target if request.scope == "worth":
            worth = _Worth(graph, scores, effects)
            requested = _most_worth(request, target, worth, settled.units, rounded)
        case Budget() as target:
            family = _family(graph, request, scores, settled.units)
            requested = _within(graph, _price(request, target), target, family, rounded)
    kept = rounded(requested)
    decisions = tuple(
        _decision(group, int(requested[i]), int(kept[i]), settled.reasons.get(i), request.round_to)
        for i, group in enumerate(graph.groups)
    )
    return Allocation(kept=kept, decisions=decisions)


def _decision(
    group: ChannelGroup, requested: int, kept: int, settled: str | None, round_to: int
) -> GroupDecision:
    rounded = "" if kept == requested else f"rounded to a multiple of {round_to}"
    reason = ", ".join(filter(None, (settled, rounded)))
    return GroupDecision(name=group.name, size=group.size, requested=requested, kept=kept, reason=reason)


def _shared(graph: ChannelGraph, request: PruneRequest, rate: float, scores: Scores, settled: Units) -> Ids:
    sizes = kept_units(graph)
    if request.scope == "uniform":
        return uniform(sizes, np.array([rate]), settled).reshape(-1)
    family = ranked(sizes, scores, request.max_rate, settled)
    removed = round(rate * (len(family) - 1))
    return family.members(removed, removed + 1).reshape(-1)


def _family(graph: ChannelGraph, request: PruneRequest, scores: Scores, settled: Units) -> Family:
    sizes = kept_units(graph)
    if request.scope == "uniform":
        return Uniform(sizes, request.max_rate, settled)
    return ranked(sizes, scores, request.max_rate, settled)


@dataclass(frozen=True, slots=True)
class _Worth:
    """What widths are worth: by what they change where that is known of all groups, else by importance."""

    graph: ChannelGraph
    scores: Scores
    effects: Mapping[int, Effect]

    def levels(self, index: int, units: Ids) -> Levels:
        if self.effects:
            return self.effects[index].levels(units)
        return levels_of(units, self.scores.get(index), len(self.graph.groups[index].producers))


def _most_worth(
    request: PruneRequest, budget: Budget, worth: _Worth, settled: Units, rounded: Rounding
) -> Ids:
    """Return the widths that are worth most within a budget, multiples from the start."""
    graph = worth.graph
    price, dense = _price(request, budget), kept_units(graph)
    price_of = price.of(graph)
    whole = float(price_of(dense[None])[0])
    start = dense.copy()
    start[list(settled)] = list(settled.values())
    levels = {
        index: worth.levels(index, rounded.levels(index, request.max_rate))
        for index in graph.free
        if index not in settled
    }
    search = Search(price_of, levels, budget.limit(whole))
    found = search.from_(start)
    if found is None:
        floor = search.cheapest(start)
        cost = float(price_of(floor[None])[0])
        why = price_of.largest(floor) if isinstance(price_of, Additive) else ""
        raise _out_of_reach(budget, cost, whole, price.unit, why)
    return found


def _price(request: PruneRequest, budget: Budget) -> Price:
    return request.measured or PRICES.get(budget.price)


def _within(graph: ChannelGraph, price: Price, budget: Budget, family: Family, rounded: Rounding) -> Ids:
    """Return the first member of a family that costs no more than the budget once it is rounded."""
    price_of = price.of(graph)
    dense = float(price_of(kept_units(graph)[None])[0])
    cheapest = np.inf
    for members in _distinct(family, rounded):
        prices = price_of(rounded(members))
        paid = np.flatnonzero(_affordable(budget, prices, dense))
        if paid.size:
            first: Ids = members[paid[0]]
            return first
        cheapest = min(cheapest, float(prices.min()))
    raise _out_of_reach(budget, cheapest, dense, price.unit)


def _affordable(budget: Budget, prices: NDArray[np.float64], dense: float) -> NDArray[np.bool_]:
    if budget.absolute is not None:
        return prices <= budget.absolute
    assert budget.fraction is not None
    return prices / dense <= budget.fraction


def _distinct(family: Family, rounded: Rounding) -> Iterator[Ids]:
    """Yield the members in order, many at once, of neighbours that round to the same network the first."""
    for first in range(0, len(family), _AT_ONCE):
        members = family.members(first, min(first + _AT_ONCE, len(family)))
        kept = rounded(members)
        changed = np.flatnonzero((kept[1:] != kept[:-1]).any(axis=1)) + 1
        yield members[[0, *changed]]


def _out_of_reach(budget: Budget, cheapest: float, dense: float, unit: str, why: str = "") -> UsageError:
    asked, found = budget.amount, f"keeps {cheapest / dense:.3f}"
    if budget.absolute is not None:
        asked, found = f"{_amount(budget.absolute)} {unit}", f"costs {_amount(cheapest)} {unit}"
    return UsageError(
        f"--{budget.price} {asked} is out of reach: the smallest allowed network {found}"
        + (f", most of it for {why}" if why else ""),
        "raise the target, allow more with --max-rate, or protect fewer layers with --keep.",
    )


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def best_units(scores: np.ndarray, count: int) -> Ids:
    """Return the ``count`` highest-scored units, ascending; equal scores keep the lower index."""
    return np.sort(np.argsort(-scores, kind="stable")[:count]).astype(np.int64)
