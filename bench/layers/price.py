"""Milliseconds as a price: the dense model's time, node by node, each scaled by what its widths change.

A convolution is scaled by its grid, a matrix product by its two widths, any other node by the width of what
the layers before it make. In the blocked layout a begun block costs as much as a whole one. The sum is then
bent: where a pruned network was measured, the line through it and the dense model replaces the first guess
that all of a call is made of nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from bench.layers.grid import Grid
from bench.layers.table import LatencyTable, Part
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.channels.components import Ids
from compressor.channels.cost import kept_units
from compressor.channels.graph import AxisMap, ChannelGraph
from compressor.rates.additive import Additive, Term, Width, width_of

Numbers = NDArray[np.float64]
_TRANSPOSED: Final = frozenset({"ConvTranspose"})
_PADDED: Final = 2
"""Blocks that a measured width may be wider: exported files have their odd widths padded."""
_LEAST_SLOPE: Final = 0.25
_MOST_SLOPE: Final = 1.5
"""A measurement that bends the line further than this is noise, not news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The price of a network by a table.

    Attributes:
        table: of its dense model.
        slope: of the share that is measured over the share that the nodes give, through the dense model.
    """

    unit: ClassVar[str] = "ms"
    table: LatencyTable
    slope: float = 1.0

    def of(self, graph: ChannelGraph) -> Additive:
        """Return the price of any widths of the traced dense model, in milliseconds."""
        terms, fixed = _Terms(graph, self.table).made()
        kept = kept_units(graph)[None]
        total = fixed + sum(float(term.price_of(kept)[0]) for term in terms)
        scale = self.slope * self.table.call_ms / total
        scaled = tuple(replace(term, price_of=_times(scale, term.price_of)) for term in terms)
        return Additive((1 - self.slope) * self.table.call_ms + scale * fixed, scaled)

    def share(self, graph: ChannelGraph, kept: Ids) -> float:
        """Return the share of the traced dense model's time that one network takes, (groups,)."""
        dense, cut = self.of(graph)(np.stack([kept_units(graph), kept]))
        return float(cut / dense)

    def bent(self, predicted_share: float, measured_share: float) -> Self:
        """Return the price that agrees with what was measured.

        Args:
            predicted_share: of the dense model's time, by this price.
            measured_share: the same by measurement.
        """
        if predicted_share >= 1:
            return self
        slope = self.slope * (1 - measured_share) / (1 - predicted_share)
        return replace(self, slope=float(np.clip(slope, _LEAST_SLOPE, _MOST_SLOPE)))


@dataclass(frozen=True)
class _Terms:
    """Parts of a table as terms over the groups of a graph."""

    graph: ChannelGraph
    table: LatencyTable

    def made(self) -> tuple[list[Term], float]:
        """Return the terms, and the time of what no width changes.

        Raises:
            UsageError: the table is of a model with other layers or widths.
        """
        terms, fixed, known = [], 0.0, 0
        for part in self.table.parts:
            term = self._layer(part) if part.operator else self._follower(part)
            known += bool(part.operator and term)
            if term is None:
                fixed += part.ms
            else:
                terms.append(term)
        if not known:
            raise _of_another(self.table, "it has none of the model's layers")
        return terms, fixed

    def _layer(self, part: Part) -> Term | None:
        into, out = self._sides(part)
        widths = [side for side in (into, out) if side is not None]
        if not widths:
            return None
        if part.entry is None:
            return _term(part.module, part.ms, widths, _product(widths, self._dense))
        grid = self.table.entries[part.entry].grid
        self._check(part, into, out, grid)
        return _term(part.module, part.ms, widths, partial(_by_grid, grid, self.table.where.block, into, out))

    def _follower(self, part: Part) -> Term | None:
        """Return a node without a weight: it works on what the layers before it make."""
        found = (self._axes.get((f"{maker}.weight", 0)) for maker in part.makers)
        widths = [width_of(self.graph, axis) for axis in found if axis is not None]
        name = f"after {part.makers[0]}" if part.makers else "other nodes"
        return _term(name, part.ms, widths, _sum(widths, self._dense)) if widths else None

    def _sides(self, part: Part) -> tuple[Width | None, Width | None]:
        """Return the widths of a layer's input and output, as far as the trace met them."""
        axes = [self._axes.get((f"{part.module}.weight", number)) for number in (0, 1)]
        out, into = (width_of(self.graph, axis) if axis is not None else None for axis in axes)
        return (out, into) if part.operator in _TRANSPOSED else (into, out)

    def _check(self, part: Part, into: Width | None, out: Width | None, grid: Grid) -> None:
        """Refuse a layer that was measured at other widths than it has, padding by the export aside."""
        for width, measured in ((into, grid.into[-1]), (out, grid.out[-1])):
            has = measured if width is None else int(width(self._dense)[0])
            if not has <= measured < has + _PADDED * self.table.where.block and measured > 1:
                why = f"{foreign(part.module)} was measured at {measured} channels and has {has}"
                raise _of_another(self.table, why)

    @cached_property
    def _axes(self) -> dict[tuple[str, int], AxisMap]:
        return {(axis.tensor, axis.axis): axis for axis in self.graph.axes}

    @cached_property
    def _dense(self) -> Ids:
        return kept_units(self.graph)[None]


def _of_another(table: LatencyTable, why: str) -> UsageError:
    return UsageError(
        f"the latency table of {foreign(table.model)} is not of this model: {why}",
        "measure its own: compress profile MODEL --table FILE.",
    )


def _term(name: str, ms: float, widths: list[Width], ratio: Callable[[Ids], Numbers]) -> Term:
    groups = frozenset(int(group) for width in widths for group in width.groups)
    return Term(name, groups, _times(ms, ratio))


def _times(scale: float, of: Callable[[Ids], Numbers]) -> Callable[[Ids], Numbers]:
    return lambda kept: scale * of(kept)


def _product(widths: list[Width], dense: Ids) -> Callable[[Ids], Numbers]:
    whole = float(np.prod([width(dense)[0] for width in widths]))
    return lambda kept: np.prod([width(kept) for width in widths], axis=0) / whole


def _sum(widths: list[Width], dense: Ids) -> Callable[[Ids], Numbers]:
    whole = float(sum(width(dense)[0] for width in widths))
    return lambda kept: np.sum([width(kept) for width in widths], axis=0) / whole


def _by_grid(grid: Grid, block: int, into: Width | None, out: Width | None, kept: Ids) -> Numbers:
    """Return the share of its dense time that a convolution takes."""
    rows = len(kept)
    wide_in = _blocks(into(kept), block) if into else np.full(rows, grid.into[-1])
    wide_out = _blocks(out(kept), block) if out else np.full(rows, grid.out[-1])
    return grid.at(wide_in, wide_out) / grid.ms[-1][-1]


def _blocks(widths: Ids, block: int) -> Ids:
    """Return widths with begun blocks counted as whole ones; fewer channels than a block are as they are."""
    return np.where(widths < block, widths, -(-widths // block) * block)
