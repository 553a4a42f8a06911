"""Finding an entry of a fixed table by the name a user typed."""

from collections.abc import Mapping
from typing import TypeVar

from compressor.base.registry import unknown_name

T = TypeVar("T")


def known(kind: str, table: Mapping[str, T], name: str) -> T:
    """Return ``table[name]``.

    Raises:
        UsageError: there is no such entry; close names are suggested.
    """
    if name not in table:
        raise unknown_name(kind, name, list(table))
    return table[name]
