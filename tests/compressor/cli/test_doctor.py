"""``compress doctor``: it runs something on every backend, and survives those that are broken."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from compressor.base.errors import UsageError
from compressor.cli.doctor_run import DEVICES, advice, check
from export.backends import BACKENDS, Array, Feed, SessionOptions


@pytest.fixture(scope="module")
def document() -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "compressor", "doctor", "--json"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_every_backend_is_asked_on_every_device(document: dict[str, object]) -> None:
    assert list(document) == ["schema_version", "environment", "backends", "advice"]
    entries = {(b["backend"], b["device"]): b for b in document["backends"]}
    assert set(entries) == {(name, device) for name in BACKENDS for device in DEVICES}
    for (name, device), entry in entries.items():
        assert entry["usable"] == (entry["missing"] is None)
        if BACKENDS.get(name).missing(device) is None:
            assert entry["usable"], entry
            assert entry["versions"]
        else:
            assert not entry["tried"]
            assert "install" in entry["missing"]
    assert entries["onnxruntime", "cpu"]["tried"]
    assert entries["torch", "cpu"]["tried"]


class Ones:
    """A session that answers with the same number everywhere."""

    input_names = output_names = ("input",)
    device = "cpu"

    def __init__(self, number: float) -> None:
        self.number = number

    def run(self, feed: Feed) -> dict[str, Array]:
        return {"output": np.full_like(feed["input"], self.number)}

    def __enter__(self) -> "Ones":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class Broken:
    """A runtime that is installed, says so, and then does this."""

    effect: Exception | float
    suffix: str = ".onnx"
    name: str = "broken"
    packages: tuple[str, ...] = ()
    opened: list[Path] = field(default_factory=list)

    def missing(self, device: str) -> str | None:
        return None

    def open(self, model: Path, options: SessionOptions) -> Ones:
        self.opened.append(model)
        if isinstance(self.effect, Exception):
            raise self.effect
        return Ones(self.effect)


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        (UsageError("it does not like Conv", "update it"), "it does not like Conv\nHint: update it"),
        (OSError("libfoo.so.3: cannot open"), "OSError: libfoo.so.3: cannot open; install it again"),
        (7.0, "a convolution of ones gave 7.0 instead of 1.5; install it again"),
        (1.5, None),
    ],
)
def test_what_is_installed_is_really_tried(effect: Exception | float, reason: str | None) -> None:
    found = check(Broken(effect), "cpu")
    assert found.missing == reason
    assert found.usable == (reason is None)
    assert found.tried


def test_a_backend_of_files_that_have_to_be_built_is_only_asked() -> None:
    backend = Broken(ValueError("must not be opened"), suffix=".engine")
    found = check(backend, "cuda")
    assert (found.usable, found.missing, found.tried) == (True, None, False)
    assert "not tried" in found.state()
    assert backend.opened == []


@pytest.mark.parametrize(
    ("driver", "cuda", "usable", "words"),
    [
        ("580.95.05", "13.0", True, []),
        ("unknown", "13.0", True, []),
        ("575.57.08", "12.8", True, ["575.57.08", "R580", "CUDA 12", "tensorrt-cu12"]),
        ("535.104.05", "13.0", False, ["535.104.05", "T4", "CUDA 12", "onnxruntime-gpu", "tensorrt-cu12"]),
        ("470.82.01", "13.0", False, ["470.82.01", "too old for CUDA 12", "R525"]),
        ("580.95.05", None, False, ["built without CUDA"]),
        ("unknown", "13.0", False, ["not usable", "R580", "tensorrt-cu12"]),
    ],
)
def test_advice_for_old_drivers(driver: str, cuda: str | None, usable: bool, words: list[str]) -> None:
    hints = advice(driver, cuda, usable=usable)
    assert len(hints) == (1 if words else 0)
    for word in words:
        assert word in hints[0]
