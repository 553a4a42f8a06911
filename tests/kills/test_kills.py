"""Killed at any moment: what is there is whole, and what is run again ends with the same bits."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from compressor.base.files import PREFIX
from tests import exported
from tests.zygote import Harness

NET = (
    "from torch import nn\n"
    "def net():\n"
    "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3),"
    " nn.Flatten(), nn.Linear(6 * 64, 10))\n"
    "net.input_shapes = ((3, 12, 12),)\n"
)
RECIPE = """
[model]
arch = "mine:net"
[prune]
rate = 0.5
[training]
epochs = 2
[export]
onnx = true
"""
TRAIN = ["--data", "digits", "--epochs", "3", "--set", "batch_size=512"]
COMMANDS: dict[str, tuple[list[str], str]] = {
    "finetune": (["finetune", "small", "-o", "out", "--trust-code", *TRAIN], "out"),
    "prune": (["prune", "mine:net", "--rate", "0.25", "-o", "out", *TRAIN], "out"),
    "run": (["run", "recipe.toml", "-o", "out", "--data", "digits"], "out"),
    "export": (["export", "small", "-o", "out.onnx", "--trust-code"], "out.onnx"),
    "inspect": (
        ["inspect", "mine:net", "--data", "digits", "-o", "out.svg", "--limit-images", "50"],
        "out.svg",
    ),
}
"""Words, and what they make."""
RANDOM = 2
CHOSEN: dict[str, Sequence[str]] = {
    "finetune": (
        "out.run/.compress-*/checkpoint.pt", "out.run/checkpoint.pt", "out.run/checkpoint.previous.pt",
        ".compress-*/out/model.safetensors", "out/manifest.json",
    ),
    "prune": (".compress-out.lock", "out.run/log.jsonl", "out.run/checkpoint.pt", ".compress-*/out", "out"),
    "run": ("out/run.json", "out/recipe.toml", "out/**/checkpoint.pt", "out/*/manifest.json", "out/*.onnx"),
    "export": (".compress-*/fp32", ".compress-*/fp32/out.onnx", "out.onnx"),
    "inspect": (".compress-*/out.jsonl", "out.jsonl", "out.svg"),
}  # fmt: skip
"""Files at whose first sight a command is killed."""

TRIES = 5
"""Temporary files live for milliseconds; a busy machine may look too late."""


@pytest.fixture(autouse=True, scope="module")
def _own_graphs() -> Iterator[None]:
    """Exports take as long as they do, so that a kill meets them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(exported.FOLDER)
        yield


@pytest.fixture(scope="module")
def start(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as every command finds it."""
    return harness.prepare(tmp_path_factory.mktemp("start"), NET, RECIPE)


def content(place: Path, output: str) -> dict[str, str]:
    """Return the sha256 of every file of an output that does not name a moment."""
    path = place / output
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    kept = [p for p in files if p.suffix in (".safetensors", ".onnx", ".svg") or p.name == "manifest.json"]
    assert kept
    return {str(p.relative_to(place)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


def leftovers(place: Path) -> list[str]:
    return [str(p.relative_to(place)) for p in place.rglob(f"{PREFIX}*")]


def whole(place: Path, output: str) -> None:
    """Artifacts, files and pictures are complete or absent; a run folder says what it is."""
    path = place / output
    for folder in {p.parent for p in path.rglob("manifest.json")} if path.is_dir() else set():
        assert {p.name for p in folder.iterdir()} == {"README.md", "manifest.json", "model.safetensors"}
    if path.suffix == ".onnx" and path.exists():
        import onnx

        onnx.checker.check_model(str(path))
    if path.suffix == ".svg" and path.exists():
        assert path.read_text().rstrip().endswith("</svg>")


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: how long it took, and what it made."""

    duration: float
    content: dict[str, str]


@pytest.fixture(scope="module")
def undisturbed(
    harness: Harness, start: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Undisturbed]:
    @cache
    def run(command: str) -> Undisturbed:
        words, output = COMMANDS[command]
        place = tmp_path_factory.mktemp("whole") / command
        shutil.copytree(start, place)
        duration = harness.run(words, place)
        return Undisturbed(duration, content(place, output))

    return run


def after_a_kill(
    harness: Harness, place: Path, command: str, expected: dict[str, str], process: int, kind: int
) -> int:
    """Kill, look at what is there, run again; return how the first run ended."""
    words, output = COMMANDS[command]
    with contextlib.suppress(ProcessLookupError):  # it was done sooner than it was killed
        os.kill(process, kind)
    code = harness.ended()
    whole(place, output)
    if code == 0:
        assert content(place, output) == expected
        return code
    assert code in (-signal.SIGKILL, 130)
    assert code != 130 or leftovers(place) == []
    if not (place / output).is_file() and not (place / output / "manifest.json").exists():
        harness.run(words, place)
        assert leftovers(place) == []
    assert content(place, output) == expected
    return code


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_at_any_moment_loses_nothing(
    harness: Harness, start: Path, tmp_path: Path, undisturbed: Callable[[str], Undisturbed], command: str
) -> None:
    known, moments = undisturbed(command), random.Random(0)
    for number in range(RANDOM):
        place = tmp_path / str(number)
        shutil.copytree(start, place)
        process = harness.start(COMMANDS[command][0], place)
        time.sleep(moments.uniform(0, known.duration))
        kind = signal.SIGTERM if number % 2 else signal.SIGKILL
        after_a_kill(harness, place, command, known.content, process, kind)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_at_the_sight_of_a_file_loses_nothing(
    harness: Harness, start: Path, tmp_path: Path, undisturbed: Callable[[str], Undisturbed], command: str
) -> None:
    known = undisturbed(command)
    ends = [
        end
        for number, pattern in enumerate(CHOSEN[command])
        if (end := killed_at(harness, start, tmp_path / str(number), command, pattern, known)) is not None
    ]
    assert len(ends) >= len(CHOSEN[command]) - 1
    assert ends.count(-signal.SIGKILL) >= len(ends) - 2  # the last files come last


def killed_at(
    harness: Harness, start: Path, folder: Path, command: str, pattern: str, known: Undisturbed
) -> int | None:
    """Kill a command as soon as a file is seen; None where it came and went unseen every time."""
    for attempt in range(TRIES):
        place = folder / str(attempt)
        shutil.copytree(start, place)
        process = harness.start(COMMANDS[command][0], place)
        if seen(place, pattern, process):
            return after_a_kill(harness, place, command, known.content, process, signal.SIGKILL)
        assert harness.ended() == 0, (place / "log").read_text()
    return None


def seen(place: Path, pattern: str, process: int) -> bool:
    """Wait for a file; say whether it came before the process was over."""
    running = Path(f"/proc/{process}")
    while running.exists():
        if _there(place, pattern):
            return True
        time.sleep(0.0002)
    return _there(place, pattern)


def _there(place: Path, pattern: str) -> bool:
    with contextlib.suppress(FileNotFoundError):  # a folder went while it was looked into: look again
        return next(place.glob(pattern), None) is not None
    return False


@pytest.mark.parametrize("command", COMMANDS)
def test_the_second_of_two_is_told_and_the_first_ends_well(
    harness: Harness, start: Path, tmp_path: Path, command: str
) -> None:
    words, output = COMMANDS[command]
    place = tmp_path / "both"
    shutil.copytree(start, place)
    process = harness.start(words, place)
    until = time.monotonic() + 60
    while not any(lock.stat().st_size for lock in place.glob(".*.lock")):  # and says whose it is
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(process, signal.SIGSTOP)
    try:
        second = subprocess.run(
            [sys.executable, "-m", "compressor", *words],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.kill(process, signal.SIGCONT)
    assert harness.ended() == 0, (place / "log").read_text()
    assert second.returncode == 2
    assert "is being written by process" in second.stderr or "exists" in second.stderr
    whole(place, output)
    assert leftovers(place) == []
