"""Commands of one checkout, in a folder of their own."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from compressor.base.documents import digest

_LIMIT_S: Final = 180
WAIT_S: Final = 90
_MEMORY_BYTES: Final = 12 * 2**30
NET: Final = "resnet20_cifar"
_LAUNCHER: Final = (
    "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "compressor",
)  # fmt: skip

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Where commands run.

    Attributes:
        tree: the checkout.
        place: their current folder.
        models: artifacts and files that were made once, by name.
    """

    tree: Path
    place: Path
    models: dict[str, Path] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment in which the checkout's own code is found first."""
        temporary = self.place / "tmp"
        temporary.mkdir(exist_ok=True)
        known = {
            "PYTHONPATH": str(self.tree),
            "TMPDIR": str(temporary),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }
        return {**os.environ, **known, **more}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command, its words in ``place/log``."""
        return self._started(["-m", "compressor", *words])

    def start_workers(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command on two workers of torchrun, their words in ``place/log``."""
        return self._started([*_LAUNCHER, *words])

    def run(self, *words: str, file_bytes: int = resource.RLIM_INFINITY) -> Done:
        """Run a command to its end; one that takes too long has the status 124.

        Args:
            words: of the command.
            file_bytes: the most that a file may hold, as on a disk that gets full.
        """
        return self._ended(["-m", "compressor", *words], file_bytes)

    def workers(self, *words: str) -> Done:
        """Run a command on two workers of torchrun to its end."""
        return self._ended([*_LAUNCHER, *words], resource.RLIM_INFINITY)

    def _started(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        with (self.place / "log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, *words], cwd=self.place, env=self.environment(), stdout=log, stderr=log,
                text=True,
            )  # fmt: skip

    def _ended(self, words: Sequence[str], file_bytes: int) -> Done:
        try:
            return subprocess.run(
                [sys.executable, *words], cwd=self.place, env=self.environment(), capture_output=True,
                text=True, errors="replace", timeout=_LIMIT_S, check=False,
                preexec_fn=partial(_bounded, file_bytes),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"still running after {_LIMIT_S} s")

    def artifact(self, name: str = "a") -> Path:
        """Return a copy of a pruned network's artifact, which may be changed."""
        source = self.models["artifact"]
        target = self.place / name
        shutil.copytree(source, target)
        return target

    def manifest(self, artifact: Path, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the papers of an artifact, and their digest, which anybody can compute."""
        file = artifact / "manifest.json"
        papers = json.loads(file.read_text())
        papers.pop("digest")
        change(papers)
        papers["digest"] = digest(papers)
        file.write_text(json.dumps(papers))

    def write(self, files: Mapping[str, str]) -> None:
        """Write small text files."""
        for name, text in files.items():
            (self.place / name).write_text(text)


def _bounded(file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def unsaid(done: Done) -> str:
    """Return how a command failed without a sentence; "" where it said one."""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    if done.returncode == 124:
        return done.stderr
    for words in ("Internal error", "Traceback (most recent call last)"):
        if words in done.stderr:
            line = next(line for line in done.stderr.splitlines() if words in line)
            return line[:160]
    return ""


def until(true: Callable[[], bool], every_s: float = 0.1) -> None:
    """Wait for something; the row judges what there is after the longest wait."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if true():
            return
        time.sleep(every_s)
