"""Killed at any moment: what is there is whole, and what is run again ends with the same bits."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from compressor.base.files import PREFIX

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
COMMANDS: dict[str, tuple[list[str], str, int]] = {
    "finetune": (["finetune", "small", "-o", "out", "--trust-code", *TRAIN], "out", 8),
    "prune": (["prune", "mine:net", "--rate", "0.25", "-o", "out", *TRAIN], "out", 8),
    "run": (["run", "recipe.toml", "-o", "out", "--data", "digits"], "out", 8),
    "export": (["export", "small", "-o", "out.onnx", "--trust-code"], "out.onnx", 4),
    "inspect": (
        ["inspect", "mine:net", "--data", "digits", "-o", "out.svg", "--limit-images", "50"],
        "out.svg",
        4,
    ),
}
"""Words, what they make, and how often they are killed."""


@dataclass
class Harness:
    process: subprocess.Popen[str]

    def start(self, words: Sequence[str], place: Path) -> int:
        temporary = place / "tmp"
        temporary.mkdir(exist_ok=True)
        job = {"words": words, "cwd": str(place), "temporary": str(temporary), "log": str(place / "log")}
        return int(self._said(json.dumps(job)))

    def ended(self) -> int:
        return os.waitstatus_to_exitcode(int(self._said(None)))

    def run(self, words: Sequence[str], place: Path) -> float:
        """Run to the end; return how long it took."""
        started = time.monotonic()
        self.start(words, place)
        assert self.ended() == 0, (place / "log").read_text()
        return time.monotonic() - started

    def _said(self, line: str | None) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if line is not None:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    script = str(Path(__file__).with_name("harness.py"))
    process = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Harness(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def start(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as every command finds it."""
    place = tmp_path_factory.mktemp("start")
    (place / "mine.py").write_text(NET)
    (place / "recipe.toml").write_text(RECIPE)
    harness.run(["prune", "mine:net", "--rate", "0.5", "-o", "small"], place)
    return place


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


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_loses_nothing(harness: Harness, start: Path, tmp_path: Path, command: str) -> None:
    words, output, kills = COMMANDS[command]
    shutil.copytree(start, tmp_path / "whole")
    duration = harness.run(words, tmp_path / "whole")
    expected = content(tmp_path / "whole", output)
    moments = random.Random(0)
    for number in range(kills):
        place = tmp_path / str(number)
        shutil.copytree(start, place)
        process = harness.start(words, place)
        time.sleep(moments.uniform(0, duration))
        kind = signal.SIGTERM if number % 4 == 3 else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):  # it was done sooner than the one that was timed
            os.kill(process, kind)
        code = harness.ended()
        whole(place, output)
        if code == 0:
            assert content(place, output) == expected
            continue
        assert code in (-signal.SIGKILL, 130)
        assert code != 130 or leftovers(place) == []
        harness.run(words, place)
        assert content(place, output) == expected
        assert leftovers(place) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_second_of_two_is_told_and_the_first_ends_well(
    harness: Harness, start: Path, tmp_path: Path, command: str
) -> None:
    words, output, _ = COMMANDS[command]
    place = tmp_path / "both"
    shutil.copytree(start, place)
    process = harness.start(words, place)
    until = time.monotonic() + 60
    while not any(name.endswith(".lock") for name in os.listdir(place)):
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
