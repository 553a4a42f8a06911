"""The results: one file that holds every finished cell, written after each, and read again to go on."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from bench.studies.gpu.cells import EXPECTED_S, Cell
from compressor.base.documents import read_json, write_json
from compressor.base.errors import UsageError

SCHEMA_VERSION: Final = 1
MEASURED: Final = "measured"
FAILED: Final = "failed"

NOTES: Final = (
    "weights are random: times do not depend on them, except for what detectors find, which is made lively",
    "fp16 is PyTorch's automatic mixed precision with channels last; of files, a converted graph",
    "fp32 has TF32 switched off",
    "wall times are from the call to the result on the device, of files from host memory to host memory",
    "training is one step of SGD: forward, loss, backward, update",
)


class Record:
    """What has been found so far.

    Attributes:
        document: as it is written.
    """

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self._path = path
        self.document = document

    @classmethod
    def opened(cls, path: Path, machine: Mapping[str, str], settings: Mapping[str, Any]) -> Self:
        """Go on with a file, or begin one.

        Raises:
            UsageError: it holds results of another machine, or of other settings.
        """
        fresh = {
            "study": "gpu", "schema_version": SCHEMA_VERSION, "machine": dict(machine),
            "settings": dict(settings), "clocks": [], "notes": list(NOTES), "cells": {},
        }  # fmt: skip
        if not path.exists():
            return cls(path, fresh)
        document = read_json(path)
        for part in ("study", "schema_version", "machine", "settings"):
            if document.get(part) != fresh[part]:
                raise UsageError(f"{path} holds results of another {part}", "choose another --output.")
        return cls(path, document)

    def todo(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return what is not measured yet, in order of value; what failed before comes last."""
        status = {key: entry["status"] for key, entry in self.document["cells"].items()}
        left = [cell for cell in cells if status.get(cell.key) != MEASURED]
        return sorted(left, key=lambda cell: status.get(cell.key) == FAILED)

    def expected_s(self, cell: Cell) -> float:
        """Return how long a cell will take: as long as the longest like it, as far as any is known."""
        known = [
            entry["seconds"]
            for entry in self.document["cells"].values()
            if entry["status"] == MEASURED and (entry["model"], entry["engine"]) == (cell.model, cell.engine)
        ]
        return max(known, default=EXPECTED_S[cell.engine])

    def put(self, cell: Cell, status: str, seconds: float, **found: Any) -> None:
        """Keep what became of a cell, and write the file."""
        self.document["cells"][cell.key] = {
            "model": cell.model, "work": cell.work, "engine": cell.engine, "precision": cell.precision,
            "batch": cell.batch, "status": status, "seconds": round(seconds, 2), **found,
        }  # fmt: skip
        self.write()

    def saw(self, moment: str, clocks: Mapping[str, str]) -> None:
        """Keep what the clocks said."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.document["clocks"].append({"moment": moment, "at": now, **clocks})
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        write_json(self._path, self.document)
