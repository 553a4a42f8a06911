"""Commands of one checkout, in a folder of their own."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from compressor.base.documents import digest

_LIMIT_S: Final = 180
_MEMORY_BYTES: Final = 12 * 2**30
NET: Final = "resnet20_cifar"

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
        log = (self.place / "log").open("w")
        return subprocess.Popen(
            [sys.executable, "-m", "compressor", *words], cwd=self.place, env=self.environment(),
            stdout=log, stderr=log, text=True,
        )  # fmt: skip

    def run(self, *words: str) -> Done:
        """Run a command to its end; one that takes too long has the status 124, and its memory is bounded."""
        try:
            return subprocess.run(
                [sys.executable, "-m", "compressor", *words], cwd=self.place, env=self.environment(),
                capture_output=True, text=True, errors="replace", timeout=_LIMIT_S, check=False,
                preexec_fn=_bounded,
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


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


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
