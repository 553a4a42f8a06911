"""What a run folder holds: the settings it was made with, and the finished stages with their digests.

``run.json`` is replaced whole after every stage, so that a kill at any moment leaves a folder that can be
continued; whoever goes through the stages owns the folder meanwhile. A stage counts as finished if what it
started from and what it made are still what they were.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.artifact import artifact_digest, is_artifact
from compressor.base.documents import Json, check_schema, decode, digest, read_json, write_json
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.files import PREFIX, file_digest, write_whole
from compressor.chain.job import CHECKPOINTS
from compressor.chain.work import Stage

SCHEMA_VERSION = 1
_FILE, _RECIPE = "run.json", "recipe.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One stage that is done.

    Attributes:
        name: of the stage.
        output: file or folder, within the run folder.
        inputs: digest of the settings and of what the stage started from.
        digest: of the output.
    """

    name: str
    output: str
    inputs: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    settings: dict[str, Any]
    stages: tuple[Finished, ...]


class RunRecord:
    """``run.json`` of one folder."""

    def __init__(self, folder: Path, settings: Json) -> None:
        self._folder = folder
        self._settings: Json = json.loads(json.dumps(settings))
        self._stages: dict[str, Finished] = {}

    @classmethod
    def open(cls, folder: Path, settings: Json) -> "RunRecord":
        """Return the record of a folder, empty where there is none yet; nothing is written.

        Raises:
            UsageError: the folder holds something else, or a run with other settings, which are named.
            ArtifactError: the record is damaged.
        """
        record = cls(folder, settings)
        file = folder / _FILE
        if file.is_file():
            record._read(file)
        elif folder.exists() and (not folder.is_dir() or _foreign(folder)):
            raise UsageError(f"{folder} exists and holds no run", "choose another -o, or remove it first.")
        return record

    def _read(self, file: Path) -> None:
        data = read_json(file, "remove the folder and run again.")
        check_schema(data, SCHEMA_VERSION, str(file))
        data.pop("schema_version")
        content = decode(_Content, data, str(file))
        changed = _differences(content.settings, self._settings)
        if changed and content.stages:
            raise UsageError(
                f"{self._folder} was started with other settings: {'; '.join(changed[:5])}",
                "choose another -o for the new settings, or repeat the old ones to continue.",
            )
        self._stages = {stage.name: stage for stage in content.stages}

    @property
    def empty(self) -> bool:
        """Whether no stage is finished."""
        return not self._stages

    def start(self, recipe: str) -> None:
        """Make the folder known as this run's, and keep the resolved recipe, a TOML text, in it.

        Raises:
            CompressError: the folder cannot be written.
        """
        self._write()  # first, since it is what tells a run folder from another
        write_whole(self._folder / _RECIPE, recipe)

    def abandon(self) -> None:
        """Remove the folder of a run in which nothing was finished; what others put there stays.

        Where checkpoints of the first stage lie there, it is a run still, with whatever settings.
        """
        if self.empty and not any(self._folder.glob(f"*{CHECKPOINTS}")):
            for name in (_FILE, _RECIPE):
                (self._folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    def finished(self, stage: Stage) -> Finished | None:
        """Return the entry of a stage that need not be done again, or None.

        Raises:
            ArtifactError: its output is there, but is not what the stage wrote.
        """
        entry = self._stages.get(stage.name)
        path = self._folder / stage.output
        if entry is None or entry.inputs != self._inputs(stage) or not path.exists():
            return None
        if digest_of(path) != entry.digest:
            raise ArtifactError(
                f"{path} is not what stage {stage.name} wrote", "remove it, and it will be made again."
            )
        return entry

    def clear(self, stage: Stage) -> None:
        """Remove what an interrupted stage may have left; its checkpoints stay."""
        path = self._folder / stage.output
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.data").unlink(missing_ok=True)

    def add(self, stage: Stage) -> Finished:
        """Write down that a stage is done, and return its entry."""
        entry = Finished(
            name=stage.name,
            output=stage.output,
            inputs=self._inputs(stage),
            digest=digest_of(self._folder / stage.output),
        )
        self._stages[stage.name] = entry
        self._write()
        return entry

    def _inputs(self, stage: Stage) -> str:
        parent = self._stages[stage.parent].digest if stage.parent else ""
        fields = json.loads(json.dumps(dataclasses.asdict(stage)))
        return digest({"stage": fields, "settings": self._settings, "parent": parent})

    def _write(self) -> None:
        content = _Content(settings=self._settings, stages=tuple(self._stages.values()))
        write_json(self._folder / _FILE, {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(content)})


def _foreign(folder: Path) -> bool:
    """Say whether a folder holds what no run that was killed at its start can have left."""
    return any(path.name != _RECIPE and not path.name.startswith(PREFIX) for path in folder.iterdir())


def digest_of(path: Path) -> str:
    """Return the identity of an artifact folder, or the sha256 of a file."""
    if is_artifact(path):
        return artifact_digest(path)
    return file_digest(path)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return in words which settings differ, tables entered."""
    found = []
    for key in dict.fromkeys((*old, *new)):
        was, now, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(was, dict) and isinstance(now, dict):
            found += _differences(was, now, f"{name}.")
        elif was != now:
            found.append(f"{name} was {was!r}, is {now!r}")
    return found
