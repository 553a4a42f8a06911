"""Where a command's words go: results on stdout, everything else on stderr."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from compressor.base.documents import Json, to_json
from compressor.base.text import foreign, shown
from compressor.cli.process import speaks


def say(text: str) -> None:
    """Print a line for people on stderr, once however many workers there are."""
    if not speaks():
        return
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(shown(text)))


def show(*parts: str | Table) -> None:
    """Print a result for people on stdout, once however many workers there are."""
    if not speaks():
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for part in parts:
        if isinstance(part, str):
            console.print(Text(shown(part)), soft_wrap=True)
        else:
            console.print(part)


def print_json(document: Json) -> None:
    """Print the one JSON document of a command, once; ``schema_version`` comes first.

    Raises:
        CompressError: a number in it is NaN or infinite.
    """
    text = to_json({"schema_version": 1, **document}, "the document", indent=2)
    if speaks():
        sys.stdout.write(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> Table:
    """Return a table whose first column is text and whose others are numbers; nothing in it is markup."""
    made = Table(title=Text(shown(title)) if title else None, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(Text(foreign(column)), justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(foreign(cell)) for cell in row))
    return made
