"""Qualities already measured, in a JSON-lines file, so that an interrupted study goes on where it stopped.

The first line says what was measured, each further line is one measurement. A line that was cut short by a
kill is dropped; a file of another study is refused.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.base.documents import Json, check_schema
from compressor.errors import ArtifactError, CompressError, UsageError

SCHEMA_VERSION = 1

Key = tuple[str, int]
"""(group, units kept); the model as it is has the key ``DENSE``."""

DENSE: Key = ("", 0)


def weights_digest(model: nn.Module) -> str:
    """Return the sha256 of every tensor of a model."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


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
            _write(self.path, "a", [_line(key, self.known[key])])
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
    head = json.dumps({"schema_version": SCHEMA_VERSION, **identity})
    _write(path, "w", [head, *(_line(key, quality) for key, quality in known.items())])
    return Qualities(path=path, known=known)


def _line(key: Key, quality: float) -> str:
    return json.dumps({"group": key[0], "kept": key[1], "quality": quality})


def _write(path: Path | None, mode: str, lines: list[str]) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise CompressError(f"cannot write {path}: {error.strerror}", "choose another -o.") from error


def _read(path: Path, identity: Json) -> dict[Key, float]:
    try:
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        head, *lines = [json.loads(line) for line in whole.splitlines()] or [None]
        check_schema(head, SCHEMA_VERSION, str(path))
        known = {(str(line["group"]), int(line["kept"])): float(line["quality"]) for line in lines}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} is not a readable list of measurements: {error}", "delete it to measure again."
        ) from error
    difference = _difference(head, identity)
    if difference:
        raise UsageError(
            f"{path} belongs to another study ({difference})", "delete it, or choose another -o."
        )
    return known


def _difference(saved: dict[str, Any], identity: Json) -> str:
    names = [name for name in identity if saved.get(name) != identity[name]]
    return ", ".join(f"{name} was {saved.get(name)}, is {identity[name]}" for name in names)
