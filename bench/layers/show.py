"""A latency table for human readers: what each layer takes, and what narrower ones would."""

from collections import defaultdict
from typing import Final

import numpy as np
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from bench.layers.table import Entry, LatencyTable
from bench.statistics import significant
from compressor.base.text import foreign

_ROWS: Final = 20


def shown(table: LatencyTable, rows: int = _ROWS) -> Table:
    """Return the layers that take most, each at its dense widths and at the narrowest that were measured."""
    title = (
        f"{table.model} on {table.where.backend}: {significant(table.call_ms)} ms a call; layers over widths"
    )
    found = Table(box=SIMPLE, title=Text(foreign(title, 400)), title_justify="left")
    for name in ("layers", "kind", "channels", "ms", "half the output", "half of both", "narrowest"):
        found.add_column(name, justify="left" if name in ("layers", "kind") else "right", overflow="fold")
    ordered = sorted(_users(table).items(), key=lambda item: -sum(ms for _, ms in item[1]))
    for number, users in ordered[:rows]:
        found.add_row(*(Text(foreign(cell, 200)) for cell in _row(table.entries[number], users)))
    return found


def _users(table: LatencyTable) -> dict[int, list[tuple[str, float]]]:
    users: defaultdict[int, list[tuple[str, float]]] = defaultdict(list)
    for part in table.parts:
        if part.entry is not None:
            users[part.entry].append((part.module, part.ms))
    return dict(users)


def _row(entry: Entry, users: list[tuple[str, float]]) -> tuple[str, ...]:
    grid = entry.grid
    into, out = grid.into[-1], grid.out[-1]
    tried = np.array([[into, out], [into, out // 2], [max(1, into // 2), out // 2]])
    dense, half, both = grid.at(tried[:, 0], tried[:, 1])
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    ms = sum(ms for _, ms in users)
    shares = (half / dense, both / dense, grid.ms[0][0] / dense)
    words = entry.signature.describe()
    return (f"{users[0][0]}{more}", words, f"{into} > {out}", significant(ms), *(f"{s:.0%}" for s in shares))
