"""Where a command's words go: results on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from compressor.base.documents import Json


def say(text: str) -> None:
    """Print a line for people on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def show(*parts: str | Table) -> None:
    """Print a result for people on stdout."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False, soft_wrap=True)
        else:
            console.print(part)


def print_json(document: Json) -> None:
    """Print the one JSON document of a command; ``schema_version`` comes first."""
    sys.stdout.write(json.dumps({"schema_version": 1, **document}, indent=2) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> Table:
    """Return a table whose first column is text and whose others are numbers."""
    made = Table(title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made
