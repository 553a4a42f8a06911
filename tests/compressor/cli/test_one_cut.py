"""One request, two commands: ``compress prune`` and ``compress run`` cut the same units off one model."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compressor.artifact import read_manifest
from compressor.cli import main
from compressor.zoo import Trust

Answer = Callable[..., dict[str, Any]]

RECIPE = """
[model]
arch = "cut_net:net"

[prune]
method = "{method}"
rate = 0.5

[training]
epochs = 0

[export]
onnx = false
"""
NET = (
    "from torch import nn\n"
    "def net():\n"
    "    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 12, 3), nn.ReLU(),"
    " nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))\n"
    "net.input_shapes = ((3, 12, 12),)\n"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a factory and an archive of images, which is also where commands run."""
    (tmp_path / "cut_net.py").write_text(NET)
    images = np.random.default_rng(0).integers(0, 256, (200, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(200) % 10
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    def run(*words: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["compress", *words, "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert not end.value.code, said.err
        document: dict[str, Any] = json.loads(said.out)
        return document

    return run


def pruned(answer: Answer, method: str, data: str, seed: int, output: str) -> str:
    """Prune by the single command and return the plan's digest."""
    words = ["--rate", "0.5", "--method", method, "--data", data, "--seed", str(seed), "-o", output]
    digest: str = answer("prune", "cut_net:net", *words)["plan"]["digest"]
    return digest


@pytest.mark.parametrize("data", ["digits", "npz:own.npz"])
@pytest.mark.parametrize("method", ["hrank", "taylor", "l1"])
def test_prune_and_run_make_the_same_cut(place: Path, answer: Answer, method: str, data: str) -> None:
    digest = pruned(answer, method, data, 3, "single")
    (place / "cut.toml").write_text(RECIPE.format(method=method))
    words = ["run", "cut.toml", "--data", data, "--seed", "3"]
    assert answer(*words, "--dry-run")["plan"]["digest"] == digest
    done = answer(*words, "-o", "chain")
    made = next(Path(stage["output"]) for stage in done["stages"] if stage["name"] == "prune")
    trust = Trust.of(["cut_net:net"])
    assert read_manifest(made, trust).plan == read_manifest(Path("single"), trust).plan
    single, chain = (load_file(folder / "model.safetensors") for folder in (Path("single"), made))
    assert single.keys() == chain.keys()
    assert all(torch.equal(single[name], chain[name]) for name in single)
    assert single["0.weight"].shape == (8, 3, 3, 3)


def test_the_comparison_would_see_other_cuts(place: Path, answer: Answer) -> None:
    """Another seed, other data and another criterion each cut other units."""
    digits, own = "digits", "npz:own.npz"
    asked = [("taylor", digits, 3), ("taylor", digits, 4), ("taylor", own, 3), ("l1", digits, 3)]
    cuts = [pruned(answer, *words, f"{number}") for number, words in enumerate(asked)]
    assert len(set(cuts)) == len(cuts)
