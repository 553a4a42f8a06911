"""What constructors may be given from outside: every argument declared, every value bounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from compressor.base.errors import UsageError
from compressor.base.text import foreign


class Option(Protocol):
    """The values that one constructor argument may have."""

    def admits(self, value: object) -> bool:
        """Say whether ``value`` is one of them."""

    def describe(self) -> str:
        """Return them in words."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole numbers from ``low`` to ``high``."""

    low: int
    high: int

    def admits(self, value: object) -> bool:
        """Say whether it is such a number; True and False are none."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def describe(self) -> str:
        """Return the bounds in words."""
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Number:
    """Numbers from ``low`` to ``high``."""

    low: float
    high: float

    def admits(self, value: object) -> bool:
        """Say whether it is such a number; True and False are none."""
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )

    def describe(self) -> str:
        """Return the bounds in words."""
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some fixed values, compared with their type: 1 is not True."""

    values: tuple[object, ...]

    def admits(self, value: object) -> bool:
        """Say whether it is one of them."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def describe(self) -> str:
        """Return them in words."""
        return " or ".join(repr(value) for value in self.values)


CLASSES: Final = Whole(1, 1_000_000)


def check_options(name: str, declared: Mapping[str, Option], given: Mapping[str, Any]) -> None:
    """Refuse constructor arguments that an architecture does not declare.

    Raises:
        UsageError: an argument is unknown, or its value out of bounds.
    """
    for key, value in given.items():
        if key not in declared:
            raise UsageError(
                f"{name} takes no argument {foreign(key)!r} from outside",
                f"it takes {', '.join(declared) or 'none'}.",
            )
        if not declared[key].admits(value):
            raise UsageError(
                f"{key} of {name} is {foreign(repr(value))}", f"give {declared[key].describe()}."
            )
