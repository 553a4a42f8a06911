"""Widths that keep the most importance for a price: a Lagrangian over groups, solved by coordinates.

What a vector of widths is worth is the sum over layers of log(importance kept / importance of all): a share,
so that layers compare whatever their scale, and a logarithm, so that none is emptied because it is cheap to
empty. A group counts once for each layer that makes it. Where it was measured on images what widths change in
the outputs, the worth is less of that change instead. For a multiplier m the widths that maximise
worth - m * price are found group by group, everything else held, until nothing changes: with the widths
around it held, each group is searched exactly, its saving counted in whatever makes and whatever reads it.
m is bisected to the budget, and what remains of the budget is spent on single steps up. (Everett, Generalized
Lagrange Multiplier Method, 1963.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compressor.channels.components import Ids
from compressor.rates.additive import Additive
from compressor.rates.prices import PriceOf

_SWEEPS: Final = 12
_BISECTIONS: Final = 24
_DECADES: Final = 5.0
"""Around the multiplier that exchanges all worth for all of the price."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The widths that a group may have.

    Attributes:
        units: ascending.
        worth: of each.
    """

    units: Ids
    worth: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """What widths of a group change in the outputs of the network, as `compressor.methods.effects` finds it.

    Attributes:
        units: ascending, from one up; the last is the whole group.
        error: mean squared change of the outputs, as a share of what they vary, summed over outputs.
    """

    units: Ids
    error: NDArray[np.float64]

    def levels(self, units: Ids) -> Levels:
        """Return what widths are worth: the less they change, the more."""
        return Levels(units, -np.interp(units, self.units, self.error))


def levels_of(units: Ids, importance: NDArray[np.float64] | None, weight: float = 1.0) -> Levels:
    """Return what widths of a group are worth.

    Args:
        units: ascending, from one up; the last is the whole group.
        importance: of each unit, (units,); without, every unit is worth the same.
        weight: of the group against others.
    """
    whole = int(units[-1])
    ordered = np.ones(whole) if importance is None else np.sort(importance)[::-1]
    positive = ordered - min(0.0, float(ordered.min()))
    kept = np.cumsum(positive)[units - 1]
    total = float(positive.sum())
    share = kept / total if total > 0 else units / whole
    return Levels(units, weight * np.log(np.maximum(share, 1e-12)))


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """The most worth within a budget.

    Attributes:
        price_of: units kept per group -> price.
        levels: of each group that may be cut.
        limit: what the price may be.
    """

    price_of: PriceOf
    levels: Mapping[int, Levels]
    limit: float

    def from_(self, dense: Ids) -> Ids | None:
        """Return units per group, (groups,); None where not even the least widths are within the budget.

        Args:
            dense: units of every group, those that are settled as they are.
        """
        if self._price(dense) <= self.limit:
            return dense
        least = self._least(dense)
        found = [kept for kept in self._solutions(dense, least) if self._price(kept) <= self.limit]
        if self._price(least) <= self.limit:
            found.append(least)
        return self._filled(max(found, key=self._worth)) if found else None

    def cheapest(self, dense: Ids) -> Ids:
        """Return the cheapest that the search finds, whatever it is worth, (groups,)."""
        least = self._least(dense)
        return min(least, self._climbed(least, 1e12), key=self._price)

    def _least(self, dense: Ids) -> Ids:
        least = dense.copy()
        for group, levels in self.levels.items():
            least[group] = levels.units[0]
        return least

    def _solutions(self, dense: Ids, least: Ids) -> Iterator[Ids]:
        """Yield what bisection passes, from the widest and from the narrowest start."""
        spread = sum(float(levels.worth[-1] - levels.worth[0]) for levels in self.levels.values())
        middle = np.log10(max(spread, 1e-12) / max(self._price(dense) - self._price(least), 1e-12))
        for start in (dense, least):
            low, high, kept = middle - _DECADES, middle + _DECADES, start
            for _ in range(_BISECTIONS):
                multiplier = (low + high) / 2
                kept = self._climbed(kept, 10.0**multiplier)
                yield kept
                if self._price(kept) <= self.limit:
                    high = multiplier
                else:
                    low = multiplier

    def _climbed(self, kept: Ids, multiplier: float) -> Ids:
        """Return widths at which no single group can be better off."""
        kept = kept.copy()
        for _ in range(_SWEEPS):
            changed = False
            for group, levels in self.levels.items():
                prices = self._near(group, kept, levels.units)
                best = int(levels.units[np.argmax(levels.worth - multiplier * prices)])
                changed |= best != kept[group]
                kept[group] = best
            if not changed:
                break
        return kept

    def _filled(self, kept: Ids) -> Ids:
        """Spend what is left of the budget on the steps that bring the most for it."""
        kept, left = kept.copy(), self.limit - self._price(kept)
        while steps := list(self._steps(kept, left)):
            _, group, units, more = max(steps)
            kept[group], left = units, left - more
        return kept

    def _steps(self, kept: Ids, left: float) -> Iterator[tuple[float, int, int, float]]:
        """Yield (worth per price, group, units, price) of every wider width that can be paid."""
        for group, levels in self.levels.items():
            here = int(np.searchsorted(levels.units, kept[group]))
            if here + 1 == len(levels.units):
                continue
            prices = self._near(group, kept, levels.units[here:])
            for more, worth, units in zip(
                prices[1:] - prices[0], levels.worth[here + 1 :], levels.units[here + 1 :], strict=True
            ):
                gain = float(worth - levels.worth[here])
                if gain > 0 and more <= left:
                    yield gain / max(float(more), 1e-9), group, int(units), float(more)

    def _near(self, group: int, kept: Ids, units: Ids) -> NDArray[np.float64]:
        rows = np.repeat(kept[None], len(units), axis=0)
        rows[:, group] = units
        price = self.price_of.near(group) if isinstance(self.price_of, Additive) else self.price_of
        return price(rows)

    def _price(self, kept: Ids) -> float:
        return float(self.price_of(kept[None])[0])

    def _worth(self, kept: Ids) -> float:
        places = ((levels, int(np.searchsorted(levels.units, kept[g]))) for g, levels in self.levels.items())
        return float(sum(levels.worth[place] for levels, place in places))
