"""Files written whole, dead temporaries, one owner per output: with real processes and real kills."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compressor.base.errors import CompressError, UsageError
from compressor.base.files import PREFIX, remove_dead, scratch, temporary_folder, whole_folder, write_whole
from compressor.base.locks import owned


def started(code: str, *arguments: Path) -> subprocess.Popen[str]:
    """Start Python on ``code`` and wait until it prints a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    with process:  # closes its output
        os.kill(process.pid, signal.SIGKILL)


HOLD = """
import sys, time
from pathlib import Path
from compressor.base.files import temporary_folder
from compressor.base.locks import owned
with temporary_folder(Path(sys.argv[1])) as folder, owned(Path(sys.argv[1]) / "out"):
    (folder / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_file_replaces_what_was_there_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    write_whole(file, "one")
    write_whole(file, b"two")
    assert file.read_text() == "two"
    assert [p.name for p in file.parent.iterdir()] == ["file"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_sentence() -> None:
    with pytest.raises(CompressError, match="cannot write /dev/null/file"):
        write_whole(Path("/dev/null/file"), "text")


def test_a_killed_process_leaves_what_the_next_one_removes(tmp_path: Path) -> None:
    process = started(HOLD, tmp_path)
    held = {p.name for p in tmp_path.iterdir()}
    assert len([name for name in held if name.startswith(PREFIX)]) == 2
    remove_dead(tmp_path)  # it lives, and so do its files
    assert {p.name for p in tmp_path.iterdir()} == held
    killed(process)
    with temporary_folder(tmp_path) as folder:
        assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    assert list(tmp_path.iterdir()) == []


def test_dead_scratch_folders_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}dead").mkdir()
    (tmp_path / "other").mkdir()
    with scratch() as folder:
        assert {p.name for p in tmp_path.iterdir()} == {folder.name, "other"}


def test_the_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    process = started(HOLD, tmp_path)
    with (
        pytest.raises(UsageError, match=f"out is being written by process {process.pid}"),
        owned(tmp_path / "out"),
    ):
        pass
    killed(process)
    with owned(tmp_path / "out"):
        pass
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".lock")] == []
