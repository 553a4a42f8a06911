"""Qualities already measured, in a JSON-lines file, so that an interrupted study goes on where it stopped.

The first line says what was measured, each further line is one measurement. A line that was cut short by a
kill is dropped; a file of another study is refused.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.base.documents import MOST_BYTES, Json, check_schema, parse_json, read_bounded, to_json
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.files import write_whole, writing
from compressor.base.text import foreign

SCHEMA_VERSION = 1

Key = tuple[str, int]
"""(group, units kept); the model as it is has the key ``DENSE``."""

DENSE: Key = ("", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualities:
    """Measured qualities, each written down at once.

    Attributes:
        path: the file; None keeps them in memory only.
        known: key -> quality, percent.
    """

    path: Path | None
    known: dict[Key, float]

    def get(self, key: Key, measure: Callable[[], float]) -> float:
        """Return the quality under ``key``, measured now if it is not known.

        Raises:
            CompressError: the file cannot be written.
        """
        if key not in self.known:
            self.known[key] = measure()
            _append(self.path, _line(key, self.known[key]))
        return self.known[key]


def open_qualities(path: Path | None, identity: Json) -> Qualities:
    """Read the file of a study, or start it.

    Args:
        path: the file, which need not exist; None keeps nothing.
        identity: what the qualities depend on; primitives only.

    Raises:
        UsageError: the file belongs to another study.
        ArtifactError: it is damaged.
        CompressError: it cannot be written.
    """
    known = _read(path, identity) if path and path.exists() else {}
    if path is not None:  # whole again, without a line that a kill cut short
        head = to_json({"schema_version": SCHEMA_VERSION, **identity}, str(path), indent=None)
        write_whole(path, head + "".join(_line(key, quality) for key, quality in known.items()))
    return Qualities(path=path, known=known)


def _line(key: Key, quality: float) -> str:
    return to_json({"group": key[0], "kept": key[1], "quality": quality}, "the list", indent=None)


def _append(path: Path | None, line: str) -> None:
    if path is None:
        return
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, identity: Json) -> dict[Key, float]:
    hint = "delete it to measure again."
    whole = read_bounded(path, MOST_BYTES, hint).rpartition(b"\n")[0]
    lines = [
        parse_json(line, f"{path}: line {n}", hint) for n, line in enumerate(whole.splitlines(), start=1)
    ]
    head, *rest = lines or [None]
    check_schema(head, SCHEMA_VERSION, str(path))
    try:
        known = {(str(line["group"]), int(line["kept"])): float(line["quality"]) for line in rest}
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise ArtifactError(
            f"{path} is not a readable list of measurements: {foreign(error)}", hint
        ) from error
    difference = _difference(head, identity)
    if difference:
        raise UsageError(
            f"{path} belongs to another study ({difference})", "delete it, or choose another -o."
        )
    return known


def _difference(saved: dict[str, Any], identity: Json) -> str:
    names = [name for name in identity if saved.get(name) != identity[name]]
    return ", ".join(f"{name} was {foreign(saved.get(name))}, is {identity[name]}" for name in names)
