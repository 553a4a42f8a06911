"""The folder of a run: ``checkpoint.pt`` to resume from and ``log.jsonl`` to watch.

A checkpoint holds tensors and primitives only and is read without unpickling code. It begins with the sha256
of the rest, appears whole, and the one before it is kept as ``checkpoint.previous.pt``: a kill at any moment
leaves a complete one, and a damaged one is noticed and passed over. The log follows the
checkpoint: on resuming it is rewritten from there, so an epoch is never listed twice.
"""

import dataclasses
import hashlib
import io
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from compressor.base import distributed
from compressor.base.documents import Json, decode, to_json
from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.base.files import whole_file, write_whole, writing
from compressor.base.locks import owned
from compressor.base.modules import weights_digest
from compressor.base.text import foreign
from compressor.data import DataSplits
from compressor.tasks.recipe import Recipe
from compressor.training.constraints import FREE, Constraint
from compressor.training.records import EpochRecord

State: TypeAlias = dict[str, Any]
"""What ``torch.save`` stores: nested dictionaries and lists of tensors and primitives."""

_LOGGER = logging.getLogger(__name__)
_CHECKPOINT, _PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
_MAGIC = b"compress checkpoint 2\n"
_LOG = "log.jsonl"
_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What must agree before a run may continue from a checkpoint.

    Attributes:
        recipe: the recipe's fields.
        data: name and size of the training split, and whether there is one that chooses the epoch.
        start: digest of every tensor that the run started from.
        constraint: the constraint's own identity; empty without one.
    """

    recipe: dict[str, Any]
    data: str
    start: str
    constraint: Json = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: nn.Module, recipe: Recipe, data: DataSplits, constraint: Constraint = FREE
    ) -> "Identity":
        """Return the identity of a run."""
        # through JSON, so that what was saved and what is compared have the same types
        fields, bound = json.loads(json.dumps([dataclasses.asdict(recipe), constraint.identity()]))
        judged = "" if len(data.val) else ", none of them to choose an epoch by"
        learned = f"{data.name}, {len(data.train)} images{judged}"
        return cls(recipe=fields, data=learned, start=weights_digest(model), constraint=bound)

    def difference(self, saved: "Identity") -> str:
        """Return in words how ``saved``, an identity from a checkpoint, differs; "" if it does not."""
        if saved.recipe != self.recipe:
            names = sorted(set(saved.recipe) | set(self.recipe))
            pairs = [(name, saved.recipe.get(name), self.recipe.get(name)) for name in names]
            return "recipe: " + ", ".join(
                f"{name} was {foreign(old)}, is {new}" for name, old, new in pairs if old != new
            )
        if saved.data != self.data:
            return f"data was {foreign(saved.data)}, is {self.data}"
        if saved.constraint != self.constraint:
            return f"constraint was {foreign(saved.constraint or 'none')}, is {self.constraint or 'none'}"
        return "" if saved.start == self.start else "the model started from other weights"


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

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder while the block lasts; every worker learns where that fails.

        Raises:
            UsageError: another process trains in it.
        """
        with ExitStack() as stack:
            problem: CompressError | None = None
            if self.path is not None and distributed.rank() == 0:
                try:
                    stack.enter_context(owned(self.path))
                except CompressError as error:
                    problem = error
            problem = distributed.from_first(problem)
            if problem is not None:
                raise problem
            yield

    def _read(self) -> State | None:
        if self.path is None:
            return None
        problems = []
        for file in (self.path / _CHECKPOINT, self.path / _PREVIOUS):
            if not file.exists():
                continue
            try:
                return self._checked(file, *_content(file))
            except ArtifactError as error:
                problems.append(error)
                _LOGGER.warning("%s; the one before it is tried", error.message)
            except UsageError:
                if not problems:
                    raise
        if problems:
            raise problems[0]
        return None

    def _checked(self, file: Path, identity: Identity, state: State) -> State:
        difference = self.identity.difference(identity)
        if difference:
            raise UsageError(
                f"{file} belongs to another run ({difference})",
                "repeat what that run was started with, or choose another folder",
            )
        return state

    def save(self, state: State) -> None:
        """Write a checkpoint; the one before it is kept.

        Raises:
            CompressError: it cannot be written; the earlier ones are still there.
        """
        if self.path is None or distributed.rank() != 0:
            return
        content = {"version": _VERSION, "identity": dataclasses.asdict(self.identity), "state": state}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        payload = buffer.getbuffer()
        file = self.path / _CHECKPOINT
        with whole_file(file) as draft:
            with draft.open("wb") as stream:
                stream.writelines((_MAGIC, hashlib.sha256(payload).digest(), payload))
            if file.exists():
                file.replace(self.path / _PREVIOUS)

    def start_log(self, history: list[EpochRecord]) -> None:
        """Write the log of the epochs that are already done."""
        if self.path is None or distributed.rank() != 0:
            return
        write_whole(self.path / _LOG, "".join(_line(record) for record in history))

    def log(self, record: EpochRecord) -> None:
        """Add one epoch to the log."""
        if self.path is None or distributed.rank() != 0:
            return
        with writing(self.path / _LOG), (self.path / _LOG).open("a", encoding="utf-8") as file:
            file.write(_line(record))


def _line(record: EpochRecord) -> str:
    return to_json(record.document(), _LOG, indent=None)


def _content(file: Path) -> tuple[Identity, State]:
    """Return what a checkpoint holds.

    Raises:
        ArtifactError: it is damaged, or of another version.
    """
    hint = "delete it to start the run again"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: {error.strerror}", hint) from error
    head = len(_MAGIC) + hashlib.sha256().digest_size
    digest, payload = content[len(_MAGIC) : head], memoryview(content)[head:]
    if not content.startswith(_MAGIC) or hashlib.sha256(payload).digest() != digest:
        raise ArtifactError(f"{file} is damaged, or was written by another version of compress", hint)
    try:
        saved = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        return decode(Identity, saved["identity"], f"{file}: identity"), dict(saved["state"])
    except Exception as error:  # somebody made the digest fit; a pickle can raise nearly anything
        raise ArtifactError(f"{file} is not a readable checkpoint: {foreign(error)}", hint) from error
