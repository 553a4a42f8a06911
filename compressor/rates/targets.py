"""What a cut aims at: published rates, one rate for all, or a budget in some price."""

import math
from dataclasses import dataclass

from compressor.base.errors import UsageError
from compressor.rates.layout import Reading, as_written
from compressor.rates.strings import checked_rate


@dataclass(frozen=True, slots=True)
class Published:
    """The rates of a published script, one for each entry of a layout.

    Attributes:
        text: for instance ``"[0.]+[0.18]*29"``.
        layout: name of the architecture's rate layout, None for its first.
        read: how the layout is meant, for one of several shots.
    """

    text: str
    layout: str | None = None
    read: Reading = as_written

    def describe(self) -> str:
        """Return the target in words: the string itself."""
        return self.text


@dataclass(frozen=True, slots=True)
class Share:
    """The same share of units removed from every free group, or of all their units together.

    Attributes:
        rate: the share that is removed, in [0, 1).

    Raises:
        UsageError: it is not.
    """

    rate: float

    def __post_init__(self) -> None:
        checked_rate(self.rate)

    def describe(self) -> str:
        """Return the target in words."""
        return f"rate {self.rate}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may remain of a price; exactly one of ``fraction`` and ``absolute`` is given.

    Attributes:
        price: name of a price, for instance ``macs``.
        fraction: share of the model's price before the cut, in (0, 1].
        absolute: amount in the price's own unit, above 0.

    Raises:
        UsageError: both or none are given, or a number is out of its range.
    """

    price: str
    fraction: float | None = None
    absolute: float | None = None

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.absolute is None):
            raise UsageError(
                f"a budget of {self.price} is a share or an amount, and {self._given()} given",
                "give one of fraction and absolute.",
            )
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise UsageError(
                f"--{self.price} {self.fraction} is not in (0, 1]",
                "give the share that may remain, for instance 0.5; a number above 1 is an amount.",
            )
        if self.absolute is not None and not (self.absolute > 0 and math.isfinite(self.absolute)):
            raise UsageError(
                f"--{self.price} {self.absolute} is no amount", "give a finite number above 0, or a share."
            )

    def limit(self, dense: float) -> float:
        """Return the most that may be paid, given the price before the cut."""
        if self.absolute is not None:
            return self.absolute
        assert self.fraction is not None
        return self.fraction * dense

    def _given(self) -> str:
        return "neither is" if self.fraction is None else "both are"

    def describe(self) -> str:
        """Return the target in words."""
        return f"{self.price} {self.amount}"

    @property
    def amount(self) -> str:
        """The number that was given, as text."""
        return f"{self.fraction}" if self.absolute is None else f"{self.absolute:.12g}"


Target = Published | Share | Budget


def budget_of(price: str, number: float) -> Budget:
    """Return the budget that one number asks for: at most 1 is a share, above 1 an amount.

    Raises:
        UsageError: it is neither.
    """
    return Budget(price, absolute=number) if number > 1 else Budget(price, fraction=number)
