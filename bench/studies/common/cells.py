"""Results that are written cell by cell, so that a study that is started again goes on where it was.

A document holds a head, what everything has in common, and one row per finished cell under ``cells``.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Kept:
    """A results file with what was finished so far."""

    def __init__(self, path: Path, head: Row) -> None:
        """Open the file or begin it; the head is of the latest run, and keeps what only older ones know."""
        self._path = path
        old: Row = json.loads(path.read_text()) if path.exists() else {}
        self.document: Row = {**old, **head, "cells": old.get("cells", [])}

    @property
    def cells(self) -> list[Row]:
        """The finished rows in the order of work."""
        found: list[Row] = self.document["cells"]
        return found

    def of(self, cell: Any) -> Row | None:
        """Return the row of a cell, a dataclass; None if it is not finished."""
        wanted = json.loads(json.dumps(asdict(cell)))
        return next((row for row in self.cells if row["cell"] == wanted), None)

    def add(self, cell: Any, found: Row) -> None:
        """Keep what a cell gave for good."""
        self.cells.append({"cell": asdict(cell), **found})
        self.write()
        print(self.cells[-1], file=sys.stderr, flush=True)

    def write(self) -> None:
        """Write the file whole or not at all."""
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self.document, indent=1) + "\n")
        part.replace(self._path)

    def finish(self, cells: Sequence[Any], run: Callable[[Any], Row]) -> None:
        """Run the cells that are missing, and write after each."""
        for cell in cells:
            if self.of(cell) is None:
                self.add(cell, run(cell))
        self.write()


def say(words: str) -> None:
    """Give a sign of life."""
    print(words, file=sys.stderr, flush=True)
