"""What the results page is made of: its sections, and Markdown that several of them need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What a study adds to the page.

    Attributes:
        order: sections with smaller numbers come first.
        text: from what ``results.json`` holds to Markdown.
        timed: whether it shows times, which ``make bench`` measures again.
    """

    order: int
    text: Callable[[Any], str]
    timed: bool = False


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; the first column is text, the others are figures."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def interval(speedup: dict[str, Any] | None) -> str:
    """Return a speed-up with its 95 % interval; 1 for the baseline."""
    if speedup is None:
        return "1"
    if speedup["verdict"] == "no difference":
        return f"no difference ({speedup['low']:.2f}..{speedup['high']:.2f})"
    return f"{speedup['value']:.2f} ({speedup['low']:.2f}..{speedup['high']:.2f})"


def spread(figure: dict[str, Any]) -> str:
    """Return a mean, with the deviation where there is one."""
    return f"{figure['mean']:.2f}" + (f" ± {figure['std']:.2f}" if figure["std"] else "")
