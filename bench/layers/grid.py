"""Times over two widths, measured at some and interpolated between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compressor.channels.components import Ids

_SHARES: Final = (1.0, 0.7, 0.4, 0.15)
"""Of a dense width at which layers are measured."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Milliseconds at every pair of two rising lists of widths.

    Attributes:
        into: widths of the input.
        out: widths of the output.
        ms: row by row, one row per width of the input.
    """

    into: tuple[int, ...]
    out: tuple[int, ...]
    ms: tuple[tuple[float, ...], ...]

    def at(self, into: Ids, out: Ids) -> Numbers:
        """Return milliseconds at pairs of widths, bilinear between and beyond what was measured.

        Below the smallest width the last line goes on, but never under half of what was measured there: no
        call takes nothing.
        """
        table = np.array(self.ms)
        row, down = _between(np.array(self.into), into)
        column, right = _between(np.array(self.out), out)
        last = np.minimum(row + 1, len(self.into) - 1), np.minimum(column + 1, len(self.out) - 1)
        upper = table[row, column] * (1 - right) + table[row, last[1]] * right
        lower = table[last[0], column] * (1 - right) + table[last[0], last[1]] * right
        found: Numbers = np.maximum(upper * (1 - down) + lower * down, table.min() / 2)
        return found


def widths_to_try(width: int, block: int) -> tuple[int, ...]:
    """Return the widths, rising, at which a layer of a dense width is measured: multiples of the block."""
    if width <= block:
        return (width,)
    near = {max(1, round(share * width / block)) * block for share in _SHARES[1:]}
    return tuple(sorted({*(found for found in near if found < width), width}))


def _between(known: Ids, wanted: Ids) -> tuple[Ids, Numbers]:
    """Return of each width the known one below it, and how far it is to the next, beyond 0..1 outside."""
    if len(known) == 1:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted))
    index = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
    return index, (wanted - known[index]) / (known[index + 1] - known[index])


def rising(widths: Sequence[int]) -> bool:
    """Say whether widths are positive and each larger than the one before."""
    return all(width > 0 for width in widths) and list(widths) == sorted(set(widths))
