"""Full and read-only disks under every command that writes: a sentence, and nothing half written."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from safetensors.torch import load_file

from compressor.base.documents import read_json
from compressor.base.files import PREFIX
from tests.zygote import Harness

NET = (
    "from torch import nn\n"
    "def net():\n"
    "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 64, 3), nn.Flatten(),"
    " nn.Linear(64 * 64, 10))\n"
    "net.input_shapes = ((3, 12, 12),)\n"
)
TRAIN = ["--data", "digits", "--epochs", "1", "--set", "batch_size=512"]
COMMANDS: dict[str, tuple[list[str], str]] = {
    "finetune": (["finetune", "small", "--trust-code", *TRAIN], "out"),
    "prune": (["prune", "mine:net", "--rate", "0.25", *TRAIN], "out"),
    "export": (["export", "small", "--trust-code"], "out.onnx"),
    "triton": (["export", "small", "--trust-code", "--format", "triton"], "out"),
    "bench": (
        ["bench", "small", "--trust-code", "--backend", "torch", "--batch", "1", "--seconds", "0.05"],
        "out.json",
    ),
    "inspect": (["inspect", "mine:net", "--data", "digits", "--limit-images", "20"], "out.svg"),
    "run": (["run", "recipe.toml", "--data", "digits"], "out"),
}  # fmt: skip
"""Words, and what they make."""
INT8 = ["export", "small", "--trust-code", "--precision", "int8", "--calib", "digits"]
SMALL = {"bench": 8192, "inspect": 8192}
"""Room for a part of what is written, where 60 kB would hold all of it."""


@contextlib.contextmanager
def disk(place: Path, size: int) -> Iterator[Path]:
    """Yield the place of a small file system of its own."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs rights")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def full(place: Path) -> Iterator[Path]:
    """Yield the place of a file system with no room at all; empty files and folders can be made."""
    with disk(place, 4096):
        (place / "filler").write_bytes(bytes(4096))
        yield place


@pytest.fixture(scope="module")
def start(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = '[model]\narch = "mine:net"\n[prune]\nrate = 0.5\n'
    return harness.prepare(tmp_path_factory.mktemp("start"), NET, recipe)


def ended(harness: Harness, start: Path, words: list[str], temporary: Path | None = None) -> tuple[int, str]:
    harness.start(words, start, temporary)
    code = harness.ended()
    return code, (start / "log").read_text()


def is_a_sentence(said: str) -> None:
    assert "Error: " in said
    assert "Hint: " in said
    assert "Internal error" not in said
    assert "Traceback" not in said
    assert "No space left" in said or "Read-only" in said


def temporaries(place: Path) -> list[Path]:
    return list(place.rglob(f"{PREFIX}*"))


def whole(path: Path) -> None:
    """An output that is there can be read to its end."""
    if (path / "manifest.json").exists():
        assert {p.name for p in path.iterdir()} == {"README.md", "manifest.json", "model.safetensors"}
        load_file(path / "model.safetensors")
    elif path.suffix == ".onnx" and path.exists():
        onnx.checker.check_model(str(path))
    elif path.suffix == ".json" and path.exists():
        read_json(path)
    elif path.suffix == ".svg" and path.exists():
        assert path.read_text().rstrip().endswith("</svg>")
    elif path.is_dir():
        models = [model for model in path.iterdir() if not (path / "run.json").exists()]
        assert all((model / "config.pbtxt").stat().st_size for model in models)
        assert all(onnx.checker.check_model(str(model / "1" / "model.onnx")) is None for model in models)


def written(words: list[str], path: Path) -> list[str]:
    return [*words, "--save" if words[0] == "bench" else "-o", str(path)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_a_sentence(harness: Harness, start: Path, tmp_path: Path, command: str) -> None:
    words, name = COMMANDS[command]
    with full(tmp_path / "disk") as place:
        code, said = ended(harness, start, written(words, place / name))
        assert code == 1, said
        is_a_sentence(said)
        assert temporaries(place) == []
        whole(place / name)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_fills_up_is_a_sentence_and_room_mends_it(
    harness: Harness, start: Path, tmp_path: Path, command: str
) -> None:
    words, name = COMMANDS[command]
    with disk(tmp_path / "disk", SMALL.get(command, 60_000)) as place:
        code, said = ended(harness, start, written(words, place / name))
        assert code == 1, said
        is_a_sentence(said)
        assert temporaries(place) == []
        whole(place / name)
        subprocess.run(["mount", "-o", "remount,size=8m", str(place)], check=True)
        code, said = ended(harness, start, written(words, place / name))
        assert code == 0, said
        assert (place / name).exists()
        whole(place / name)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_disk_is_a_sentence(harness: Harness, start: Path, tmp_path: Path, command: str) -> None:
    words, name = COMMANDS[command]
    with disk(tmp_path / "disk", 2**20) as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        code, said = ended(harness, start, written(words, place / name))
        assert code == 1, said
        is_a_sentence(said)
        assert os.listdir(place) == []


@pytest.mark.parametrize("command", ["int8", "triton", "bench"])
def test_a_full_temporary_folder_is_a_sentence(
    harness: Harness, start: Path, tmp_path: Path, command: str
) -> None:
    words, name = COMMANDS.get(command, (INT8, "out.onnx"))
    with full(tmp_path / "disk") as place:
        code, said = ended(harness, start, written(words, tmp_path / name), place)
        assert temporaries(place) == temporaries(tmp_path) == []
        if code:
            assert code == 1
            is_a_sentence(said)
            assert not (tmp_path / name).exists()
        whole(tmp_path / name)
