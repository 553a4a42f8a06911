"""The record of a run: what counts as finished, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.chain.record import RunRecord
from compressor.chain.work import Stage
from compressor.chain.work.export import Export

FIRST = Stage(name="prune", output="one.bin", work=Export())
SECOND = Stage(name="export", output="two.bin", work=Export(), parent="prune")
SETTINGS: dict[str, Any] = {"training": {"lr": 0.1, "epochs": 2}, "data": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder in which both stages are finished."""
    folder = tmp_path / "run"
    record = RunRecord.open(folder, SETTINGS)
    record.start("")
    for stage in (FIRST, SECOND):
        (folder / stage.output).write_text(stage.name)
        record.add(stage)
    return folder


def test_opening_writes_nothing(tmp_path: Path) -> None:
    assert RunRecord.open(tmp_path / "run", SETTINGS).empty
    assert list(tmp_path.iterdir()) == []


def test_finished_stages_are_remembered(folder: Path) -> None:
    record = RunRecord.open(folder, SETTINGS)
    assert not record.empty
    entry = record.finished(FIRST)
    assert entry is not None
    assert entry.output == "one.bin"
    assert record.finished(SECOND) is not None
    assert [p.name for p in folder.glob("*.tmp")] == []


def test_a_lost_output_is_made_again_and_with_it_what_came_from_it(folder: Path) -> None:
    (folder / "one.bin").unlink()
    record = RunRecord.open(folder, SETTINGS)
    assert record.finished(FIRST) is None
    (folder / "one.bin").write_text("made differently")
    record.add(FIRST)
    assert record.finished(SECOND) is None


def test_an_output_that_was_replaced_is_refused(folder: Path) -> None:
    (folder / "one.bin").write_text("someone else's")
    with pytest.raises(ArtifactError, match=r"one\.bin is not what stage prune wrote"):
        RunRecord.open(folder, SETTINGS).finished(FIRST)


def test_other_settings_are_named(folder: Path) -> None:
    other = {"training": {"lr": 0.2, "epochs": 2}, "data": {"spec": "digits"}}
    with pytest.raises(UsageError, match=r"training\.lr was 0\.1, is 0\.2; data was None, is {'spec'"):
        RunRecord.open(folder, other)


def test_settings_may_change_while_nothing_is_finished(tmp_path: Path) -> None:
    RunRecord.open(tmp_path / "run", SETTINGS).start("")
    record = RunRecord.open(tmp_path / "run", {"training": {"lr": 9.0}})
    record.start("lr = 9.0\n")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"] == {"training": {"lr": 9.0}}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no run"):
        RunRecord.open(tmp_path, SETTINGS)
    with pytest.raises(UsageError, match="holds no run"):
        RunRecord.open(tmp_path / "mine.txt", SETTINGS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no readable JSON"),
        ('{"schema_version": 99}', "schema version 99"),
        ('{"schema_version": 1, "settings": {}}', "stages"),
    ],
)
def test_a_damaged_record_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        RunRecord.open(folder, SETTINGS)


def test_clearing_removes_what_a_stage_left_and_nothing_else(folder: Path) -> None:
    (folder / "two.bin.data").write_text("weights beside the file")
    (folder / "two.bin.run").mkdir()
    record = RunRecord.open(folder, SETTINGS)
    record.clear(SECOND)
    assert sorted(p.name for p in folder.iterdir()) == ["one.bin", "recipe.toml", "run.json", "two.bin.run"]


def test_a_run_without_a_finished_stage_leaves_no_folder(tmp_path: Path) -> None:
    record = RunRecord.open(tmp_path / "run", SETTINGS)
    record.start("")
    record.abandon()
    assert list(tmp_path.iterdir()) == []


def test_abandoning_keeps_finished_work(folder: Path) -> None:
    before = sorted(folder.iterdir())
    RunRecord.open(folder, SETTINGS).abandon()
    assert sorted(folder.iterdir()) == before


def test_a_folder_that_cannot_be_made_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CompressError, match="cannot write"):
        RunRecord.open(tmp_path / "file" / "run", SETTINGS).start("")
