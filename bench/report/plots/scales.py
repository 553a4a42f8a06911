"""From values to pixels, and the round values where axes have ticks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Steps between ticks that people read easily, times a power of ten."""


class Scale(Protocol):
    """A monotone map from values to pixels."""

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round values in its range."""
        ...

    @property
    def start(self) -> float:
        """Pixel of the low end."""
        ...

    @property
    def end(self) -> float:
        """Pixel of the high end."""
        ...

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """Equal differences are equal lengths."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Logarithmic:
    """Equal ratios are equal lengths; values are above 0."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def linear(values: Sequence[float], start: float, end: float, *, count: int = 6, pad: float = 0.05) -> Linear:
    """Return a scale that holds all values.

    Args:
        values: at least one.
        start: pixel of the low end.
        end: pixel of the high end.
        count: of ticks, about.
        pad: share of the span that is left free at each end; where it would cross zero, it ends there.
    """
    low, high = min(values), max(values)
    free = pad * (high - low) or abs(high) * pad or 1.0
    floor, ceiling = low - free, high + free
    floor = 0.0 if low >= 0 > floor else floor
    return Linear(floor, ceiling, start, end, ticks(floor, ceiling, count))


def logarithmic(values: Sequence[float], start: float, end: float, *, count: int = 6) -> Logarithmic:
    """Return a scale that holds all values, which are above 0."""
    low, high = min(values) / 1.15, max(values) * 1.15
    return Logarithmic(low, high, start, end, log_ticks(low, high, count))


def ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return at most ``count`` round values from low to high, and at least two where there are such."""
    rough = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))


def log_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return round values from low to high: 1, 2, 5, or powers of ten alone where those would be too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if 2 <= len(every) <= count:
        return tuple(every)
    if len(every) < 2:
        return ticks(low, high, count)
    tens = [10.0**p for p in powers if low <= 10.0**p <= high]
    return tuple(tens[:: max(1, math.ceil(len(tens) / count))]) if len(tens) > 1 else tuple(every)


def tick_text(value: float) -> str:
    """Return what stands at a tick: as few digits as say it, and thousands as k, M, G, T."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:.6g}"
