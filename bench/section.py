"""Markdown that several sections need."""

from collections.abc import Sequence
from typing import Any


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
