"""Which layer each number of a published rate string means.

The layout belongs to an architecture and to the authors whose strings it reads. Widths are truncated as the
authors do: int(c * (1 - r)) in float64, so that int(320 * (1 - 0.9)) is 31.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from compressor.base.errors import UsageError


class Layout(Protocol):
    """Reads one authors' rate strings for one architecture."""

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means, in words, in order."""

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> channels to keep.

        Args:
            rates: as many numbers as ``expected`` has entries.
            sizes: module path -> channels before.

        Raises:
            UsageError: the numbers contradict each other.
        """


Reading = Callable[[Layout], Layout]
"""How a layout is meant where a string is not read as its authors wrote it."""


def as_written(layout: Layout) -> Layout:
    """Return the layout itself."""
    return layout


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A layout in which every number sets the width of fixed layers, each truncated by itself.

    Attributes:
        entries: the layers that each number sets.
    """

    entries: tuple[tuple[str, ...], ...]

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means: its layers."""
        return tuple(_in_words(layers) for layers in self.entries)

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> int(c * (1 - r))."""
        return {
            layer: truncated(sizes[layer], rate)
            for layers, rate in zip(self.entries, rates, strict=True)
            for layer in layers
        }


def _in_words(layers: tuple[str, ...]) -> str:
    if len(layers) <= 2:
        return " and ".join(layers)
    return f"{layers[0]} and the {len(layers) - 1} layers added to it"


def truncated(channels: int, rate: float) -> int:
    """Return int(channels * (1 - rate)), the authors' rounding."""
    return int(channels * (1 - rate))


def check_length(layout: Layout, rates: Sequence[float], arch: str, name: str) -> None:
    """Refuse a rate string of the wrong length.

    Raises:
        UsageError: with the meaning of every number.
    """
    if len(rates) != len(layout.expected):
        meaning = "\n".join(f"  {i:3}  {words}" for i, words in enumerate(layout.expected))
        raise UsageError(
            f"{len(rates)} rates for {arch}; its {name} layout takes {len(layout.expected)}",
            f"give one number for each of:\n{meaning}",
        )
