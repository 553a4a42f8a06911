"""Prices that are sums over layers, so that what one group changes is a sum of few of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from compressor.channels.components import Ids
from compressor.channels.graph import AxisMap, ChannelGraph
from compressor.rates.prices import PriceOf

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Width:
    """Positions on an axis, as a function of the units that are kept.

    Attributes:
        groups: that carry positions, each once.
        per_unit: positions of one unit of each.
    """

    groups: Ids
    per_unit: Ids

    def __call__(self, kept: Ids) -> Ids:
        """Return the width in each network, (networks, groups) -> (networks,)."""
        width: Ids = kept[:, self.groups] @ self.per_unit
        return width


def width_of(graph: ChannelGraph, axis: AxisMap) -> Width:
    """Return the width of an axis of a traced network."""
    positions = np.bincount(axis.group, minlength=len(graph.groups))
    carried = np.flatnonzero(positions)
    sizes = np.array([graph.groups[index].size for index in carried], dtype=np.int64)
    return Width(carried, positions[carried] // sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What one layer costs.

    Attributes:
        name: of the layer.
        groups: on whose units it depends.
        price_of: units kept per group, (networks, groups) -> (networks,).
    """

    name: str
    groups: frozenset[int]
    price_of: PriceOf


@dataclass(frozen=True, eq=False)
class Additive:
    """A sum of terms, and what is the same for all widths.

    Attributes:
        fixed: that is.
        terms: one per layer.
    """

    fixed: float
    terms: tuple[Term, ...]

    def __call__(self, kept: Ids) -> Numbers:
        """Return the price of each network, (networks, groups) -> (networks,)."""
        return _summed(self.terms, kept) + self.fixed

    def near(self, group: int) -> PriceOf:
        """Return the part of the price that the units of a group decide."""
        return self._near.get(group, _nothing)

    def largest(self, kept: Ids, count: int = 3) -> str:
        """Return in words what a network, (groups,), pays most for, largest first."""
        paid = [(float(term.price_of(kept[None])[0]), term.name) for term in self.terms]
        total = self.fixed + sum(price for price, _ in paid)
        ordered = sorted([*paid, (self.fixed, "what no width changes")], reverse=True)
        return ", ".join(f"{name} {price / total:.0%}" for price, name in ordered[:count] if price > 0)

    @cached_property
    def _near(self) -> dict[int, PriceOf]:
        touched: dict[int, list[Term]] = {}
        for term in self.terms:
            for group in term.groups:
                touched.setdefault(group, []).append(term)
        return {group: _sum_of(tuple(terms)) for group, terms in touched.items()}


def _nothing(kept: Ids) -> Numbers:
    return np.zeros(len(kept))


def _sum_of(terms: tuple[Term, ...]) -> PriceOf:
    return lambda kept: _summed(terms, kept)


def _summed(terms: tuple[Term, ...], kept: Ids) -> Numbers:
    total = np.zeros(len(kept))
    for term in terms:
        total += term.price_of(kept)
    return total
