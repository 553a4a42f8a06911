"""The rate strings of the published scripts, for instance ``[0.]+[0.2,0.]*9``.

Grammar: ``string = term ("+" term)*``; ``term = "[" number ("," number)* "]" ("*" integer)?``. A repeat
applies to the whole bracket. Numbers are shares removed, from 0 up to but not including 1.
"""

import math
import re

from compressor.base.errors import UsageError

_TERM = re.compile(r"\[([^\[\]]*)\](?:\*(\d+))?")
_MOST = 100_000
"""Rates in a string; no network has as many layers."""

_HINT = 'write brackets joined by +, each optionally repeated: "[0.]+[0.1]*3+[0.35]*16".'


def parse_rates(text: str) -> tuple[float, ...]:
    """Return the numbers of a rate string, repeats expanded.

    Raises:
        UsageError: the text is not of the grammar, or a number is not in [0, 1).
    """
    rates: list[float] = []
    rest = re.sub(r"\s+", "", text)
    while True:
        term = _TERM.match(rest)
        if term is None:
            raise UsageError(f"cannot read the rates at {rest[:20]!r} in {text!r}", _HINT)
        numbers = [_number(part, text) for part in term.group(1).split(",")]
        repeats = int(term.group(2) or 1) if len(term.group(2) or "") < 10 else _MOST
        if len(rates) + len(numbers) * repeats > _MOST:
            raise UsageError(f"{text[:60]!r} has more than {_MOST:,} rates", "give one per layer.")
        rates += numbers * repeats
        rest = rest[term.end() :]
        if not rest:
            return tuple(rates)
        if not rest.startswith("+"):
            raise UsageError(f"expected + before {rest[:20]!r} in {text!r}", _HINT)
        rest = rest[1:]


def _number(part: str, text: str) -> float:
    try:
        value = float(part)
    except ValueError:
        raise UsageError(f"{part!r} is not a number in {text!r}", _HINT) from None
    return checked_rate(value)


def checked_rate(value: float) -> float:
    """Return a rate that leaves something.

    Raises:
        UsageError: it is not a number in [0, 1).
    """
    if not math.isfinite(value) or not 0 <= value < 1:
        raise UsageError(
            f"rate {value} is not in [0, 1)", "a rate is the share of channels to remove, for instance 0.5."
        )
    return value
