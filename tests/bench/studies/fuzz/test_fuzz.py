"""Files from outside, damaged in every way: refused with three parts, read as what they were, or valid.

The trials run in a process of their own, whose memory is bounded; the long form is
``python -m bench.studies.fuzz.run``.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.studies.fuzz.trials import Read, Subject, trial
from tests.bench.studies.fuzz.kinds import ALL

ROOT = Path(__file__).parents[4]
TRIALS = 80


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.bench.studies.fuzz.kinds", "--trials", str(TRIALS)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("kind", ALL)
def test_damage_is_refused_or_changes_nothing_or_is_an_edit(found: dict[str, Any], kind: str) -> None:
    assert [failure for failure in found["failures"] if failure.startswith(f"{kind}, ")] == []
    counts = found["counts"][kind]
    assert sum(counts.values()) == TRIALS
    assert counts["refused"]


def _careless(file: Path) -> bytes:
    return file.read_bytes()


def _raw(file: Path) -> int:
    return {b"good": 1}[file.read_bytes()]


@pytest.mark.parametrize(
    ("read", "guarded", "write", "found"),
    [
        (_careless, True, None, "read as something else"),
        (_careless, False, None, "edited"),
        (_careless, False, lambda _: b"other", "changes when it is written"),
        (_raw, False, None, "KeyError"),
    ],
)
def test_readers_at_fault_are_found(
    read: Read, guarded: bool, write: Callable[[Any], bytes] | None, found: str, tmp_path: Path
) -> None:
    subject = Subject(path=tmp_path / "f", good=b"good", read=read, guarded=guarded, write=write)
    assert found in trial(subject, random.Random(0))
