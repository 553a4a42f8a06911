"""The folder of a run: ``checkpoint.pt`` to resume from and ``log.jsonl`` to watch.

A checkpoint holds tensors and primitives only and is read without unpickling code. It is written beside the
old one and renamed over it, so that a kill at any moment leaves a complete one. The log follows the
checkpoint: on resuming it is rewritten from there, so an epoch is never listed twice.
"""

import dataclasses
import hashlib
import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from compressor.data import DataSplits
from compressor.errors import ArtifactError, UsageError
from compressor.training import distributed
from compressor.training.records import EpochRecord
from compressor.types import Recipe

State: TypeAlias = dict[str, Any]
"""What ``torch.save`` stores: nested dictionaries and lists of tensors and primitives."""

_CHECKPOINT = "checkpoint.pt"
_LOG = "log.jsonl"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What must agree before a run may continue from a checkpoint.

    Attributes:
        recipe: the recipe's fields.
        data: name and size of the training split.
        start: digest of every tensor that the run started from.
    """

    recipe: dict[str, Any]
    data: str
    start: str

    @classmethod
    def of(cls, model: nn.Module, recipe: Recipe, data: DataSplits) -> "Identity":
        """Return the identity of a run."""
        start = hashlib.sha256()
        for name, tensor in model.state_dict().items():
            start.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
            start.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        # through JSON, so that what was saved and what is compared have the same types
        fields = json.loads(json.dumps(dataclasses.asdict(recipe)))
        return cls(recipe=fields, data=f"{data.name}, {len(data.train)} images", start=start.hexdigest())

    def difference(self, saved: State) -> str:
        """Return in words how ``saved``, an identity from a checkpoint, differs; "" if it does not."""
        if saved["recipe"] != self.recipe:
            names = sorted(set(saved["recipe"]) | set(self.recipe))
            pairs = [(name, saved["recipe"].get(name), self.recipe.get(name)) for name in names]
            return "recipe: " + ", ".join(
                f"{name} was {old}, is {new}" for name, old, new in pairs if old != new
            )
        if saved["data"] != self.data:
            return f"data was {saved['data']}, is {self.data}"
        return "" if saved["start"] == self.start else "the model started from other weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Reads on every worker what rank 0 reads, and writes on rank 0 only; does nothing without a path."""

    path: Path | None
    identity: Identity

    def load(self) -> State | None:
        """Return the last checkpoint's state, or None if there is none.

        Raises:
            UsageError: it belongs to another recipe, data set or model.
            ArtifactError: it is damaged.
        """
        state = self._read() if distributed.rank() == 0 else None
        return distributed.from_first(state)

    def _read(self) -> State | None:
        if self.path is None or not (self.path / _CHECKPOINT).exists():
            return None
        file = self.path / _CHECKPOINT
        try:
            saved: State = torch.load(file, map_location="cpu", weights_only=True)
            version, identity, state = saved["version"], saved["identity"], saved["state"]
        except (RuntimeError, KeyError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise ArtifactError(
                f"{file} is not a readable checkpoint: {error}", "delete it to start the run again"
            ) from error
        difference = self.identity.difference(identity) if version == _VERSION else f"version {version}"
        if difference:
            raise UsageError(
                f"{file} belongs to another run ({difference})",
                "repeat what that run was started with, or choose another folder",
            )
        return dict(state)

    def save(self, state: State) -> None:
        """Replace the checkpoint."""
        if self.path is None or distributed.rank() != 0:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self.path / f"{_CHECKPOINT}.tmp"
        content = {"version": _VERSION, "identity": dataclasses.asdict(self.identity), "state": state}
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / _CHECKPOINT)

    def start_log(self, history: list[EpochRecord]) -> None:
        """Write the log of the epochs that are already done."""
        if self.path is None or distributed.rank() != 0:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / _LOG).write_text("".join(_line(record) for record in history), encoding="utf-8")

    def log(self, record: EpochRecord) -> None:
        """Add one epoch to the log."""
        if self.path is None or distributed.rank() != 0:
            return
        with (self.path / _LOG).open("a", encoding="utf-8") as file:
            file.write(_line(record))


def _line(record: EpochRecord) -> str:
    return json.dumps(dataclasses.asdict(record)) + "\n"
