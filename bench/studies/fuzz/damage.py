"""Seeded damage: to bytes, and to the structure of documents."""

import copy
import random
from collections.abc import Iterator
from typing import Any

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 2**63, 10**30, 1e300, -0.5, "", "x" * 10_000, "\x1b[2J", "../../x", [], {},
    [[]], {"a": {"b": []}}, "os:system",
)  # fmt: skip


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Return a copy with a bit flipped, cut short, or bytes put in, taken out or overwritten."""
    place, length = generator.randrange(len(data)), generator.randrange(1, 64)
    noise = generator.randbytes(length)
    flipped = bytes([data[place] ^ (1 << generator.randrange(8))])
    return generator.choice(
        (
            data[:place] + flipped + data[place + 1 :],
            data[:place],
            data[:place] + noise + data[place:],
            data[:place] + data[place + length :],
            data[:place] + noise + data[place + length :],
        )
    )


def restructured(document: Any, generator: random.Random) -> Any:
    """Return a copy in which a value was replaced, or a key removed, renamed or repeated."""
    changed = copy.deepcopy(document)
    holder, key = generator.choice(list(_places(changed)))
    kind = generator.randrange(4)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[generator.choice(("more", "__class__", ""))] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = generator.choice(_VALUES)
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (holder, key); of lists only the first few."""
    rows = enumerate(value[:4]) if isinstance(value, list) else ()
    for key, inner in list(value.items() if isinstance(value, dict) else rows):
        yield value, key
        yield from _places(inner)
