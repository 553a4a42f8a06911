"""The same request by either road: ``compress prune``, ``finetune`` after it, ``run``, and from Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compressor
from compressor.artifact import Artifact
from tests import zygote

RECIPE = """
[model]
arch = "resnet20_cifar"

[prune]
method = "hrank"
macs = 0.5
scope = "global"
round_to = 8

[training]
epochs = 1
seed = 3
lr = 0.02

[export]
onnx = false
"""
REQUEST = ["--method", "hrank", "--macs", "0.5", "--scope", "global", "--round-to", "8", "--seed", "3"]
DATA = ["--data", "npz:tiny.npz"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ways")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (160, 32, 32, 3), dtype=np.uint8), np.arange(160) % 10
    np.savez(folder / "tiny.npz", x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def compress(*words: str, cwd: Path) -> dict[str, Any]:
    done = zygote.run([*words, "--json"], cwd)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    compress("run", "recipe.toml", *DATA, "-o", "run", cwd=place)
    return place / "run"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_prune_and_run_write_the_same_artifact(place: Path, run: Path) -> None:
    training = ["--epochs", "1", "--set", "lr=0.02"]
    compress("prune", "resnet20_cifar", *REQUEST, *DATA, *training, "-o", "at_once", cwd=place)
    assert files(place / "at_once") == files(run / "model")


def test_prune_and_finetune_one_after_the_other_end_in_the_same_weights(place: Path, run: Path) -> None:
    compress("prune", "resnet20_cifar", *REQUEST, *DATA, "-o", "cut", cwd=place)
    tuning = ["--epochs", "1", "--set", "lr=0.02", "--set", "seed=3"]
    compress("finetune", "cut", *DATA, *tuning, "-o", "cut_and_tuned", cwd=place)
    weights = (place / "cut_and_tuned" / "model.safetensors").read_bytes()
    assert weights == (run / "model" / "model.safetensors").read_bytes()


def test_python_ends_in_the_same_weights(place: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    dense = compressor.load("resnet20_cifar", seed=3)
    data = "npz:tiny.npz"
    small = dense.prune(data=data, seed=3, method="hrank", macs=0.5, scope="global", round_to=8)
    tuned = small.fine_tune(data, epochs=1, lr=0.02, seed=3)
    expected = Artifact.load(run / "model").module.state_dict()
    assert all(bool((value == expected[name]).all()) for name, value in tuned.module.state_dict().items())


def test_a_cut_forgets_the_scores_of_what_was_cut(place: Path, run: Path) -> None:
    """They are another model's."""
    document = compress("prune", str(run / "model"), "--rate", "0.2", "-o", "again", cwd=place)
    assert document["metrics"] == {}
    manifest = json.loads((place / "again" / "manifest.json").read_text())
    assert (manifest["metrics"], manifest["recipe"], len(manifest["plan"]["steps"])) == ({}, None, 2)
    assert len({group["name"] for group in document["plan"]["groups"]}) == len(document["plan"]["groups"])
