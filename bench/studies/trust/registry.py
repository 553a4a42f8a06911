"""The rows of the table: each does what was found to fall short, and says in words if it still does."""

from collections.abc import Callable
from typing import Final

from bench.studies.trust.shell import Shell

Row = Callable[[Shell], str]
ROWS: Final[dict[str, Row]] = {}


def row(name: str) -> Callable[[Row], Row]:
    """Return a decorator that adds a row."""

    def add(found: Row) -> Row:
        ROWS[name] = found
        return found

    return add
