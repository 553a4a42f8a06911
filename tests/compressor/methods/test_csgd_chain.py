"""Centripetal SGD from the command line and in a run folder: training before the cut, and what it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import compressor
from compressor.artifact import Artifact, read_manifest
from compressor.chain.files import pipeline_from_tables
from compressor.chain.stages import stages_of
from compressor.chain.work.prune import Prune
from compressor.chain.work.train import Train
from compressor.chain.work.trained import TrainedPrune
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.zoo import Trust
from tests import zygote

ROOT = Path(compressor.__file__).parents[1]
WORKLOAD = Path(__file__).with_name("csgd_workload.py")

NET = """
from torch import nn

def net():
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 8, 3, bias=False),
        nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )

net.input_shapes = ((3, 12, 12),)
"""
RECIPE = """
[model]
arch = "csgd_net:net"

[prune]
method = "csgd"
options = { clusters = "even", strength = 4.0, vectors = 0.5 }
rate = 0.5

[training]
epochs = 3
seed = 2
lr = 0.05
batch_size = 32
schedule = "step"

[export]
onnx = false
"""
OPTIONS = ["clusters=even", "strength=4.0", "vectors=0.5"]
SETTINGS = ["lr=0.05", "batch_size=32", "schedule=step"]
REQUEST = [
    *("csgd_net:net", "--method", "csgd", "--rate", "0.5", "--seed", "2"),
    *(word for option in OPTIONS for word in ("--option", option)),
]
TRAINING = ["--data", "digits", *(word for setting in SETTINGS for word in ("--set", setting))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("csgd")
    (folder / "csgd_net.py").write_text(NET)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def compress(*words: str, cwd: Path, code: int = 0) -> dict[str, Any]:
    done = zygote.run([*words, "--json"], cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return {"said": done.stderr} if code else {"said": done.stderr, **json.loads(done.stdout)}


@pytest.fixture(scope="module")
def run(place: Path) -> dict[str, Any]:
    return compress("run", "recipe.toml", "--data", "digits", "-o", "run", cwd=place)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_by_either_road_training_comes_before_a_cut_that_loses_nothing(
    place: Path, run: dict[str, Any]
) -> None:
    assert [stage["name"] for stage in run["stages"]] == ["prune", "eval"]
    assert "prune: training for 3 epochs before the cut; checkpoints in run/pruned.run" in run["said"]
    log = (place / "run" / "pruned.run" / "log.jsonl").read_text().splitlines()
    measures = [json.loads(line)["measures"] for line in log]
    assert len(measures) == 3
    assert measures[0]["distance"] > measures[-1]["distance"]
    assert measures[0]["deviation"] > measures[-1]["deviation"]
    made = compress("prune", *REQUEST, *TRAINING, "--epochs", "3", "-o", "at_once", cwd=place)
    assert files(place / "at_once") == files(place / "run" / "model")
    assert made["caution"] == ""  # no epoch was chosen
    manifest = read_manifest(place / "at_once", Trust.of(["csgd_net:net"]))
    assert manifest.recipe is not None
    assert (manifest.recipe.epochs, manifest.data) == (3, "digits")
    assert manifest.oracle is not None
    assert manifest.oracle.max_relative_difference is not None
    assert manifest.oracle.max_relative_difference < 1e-4
    assert manifest.plan.steps[0].lossless
    assert set(manifest.scores) == {Moment("test", "dense"), Moment("test", "pruned")}
    assert manifest.scores[Moment("test", "pruned")].quality > 15  # ten classes


def test_a_dry_run_plans_the_same_and_trains_nothing(place: Path, run: dict[str, Any]) -> None:
    pruned = compress("prune", *REQUEST, *TRAINING, "--epochs", "500", "--dry-run", cwd=place)
    recipe = compress("run", "recipe.toml", "--data", "digits", "--dry-run", cwd=place)
    made = read_manifest(place / "run" / "pruned", Trust.of(["csgd_net:net"]))
    assert pruned["plan"]["digest"] == recipe["plan"]["digest"] == made.plan.digest()
    assert pruned["cost_after"] == recipe["cost_after"] == run["cost_after"]


def test_without_training_the_cut_is_refused_and_says_what_to_do(place: Path) -> None:
    said = compress("prune", *REQUEST, "-o", "untrained", cwd=place, code=4)["said"]
    assert "filters have not collapsed" in said
    assert "train before the cut" in said
    assert not (place / "untrained").exists()
    said = compress("prune", *REQUEST, "--epochs", "1", "-o", "untrained", cwd=place, code=2)["said"]
    assert "needs images" in said


def test_a_run_that_fell_short_goes_on_from_its_weights_with_a_loss_allowed(place: Path) -> None:
    words = ["run", "recipe.toml", "--data", "digits", "--set", "epochs=1", "-o", "short"]
    words += ["--set", "prune.options.strength=0.01"]
    said = compress(*words, cwd=place, code=4)["said"]
    assert "filters have not collapsed" in said
    log = place / "short" / "pruned.run" / "log.jsonl"
    before = log.read_text()
    done = compress(*words, "--set", "prune.options.loss=1e6", cwd=place)
    assert json.loads(log.read_text()) == json.loads(before)  # not trained again
    assert [stage["skipped"] for stage in done["stages"]] == [False, False]
    notes = read_manifest(place / "short" / "model", Trust.of(["csgd_net:net"])).plan.notes
    assert any(note.startswith("trimmed with a loss: ") for note in notes)


def test_an_artifact_of_it_loads_again(
    place: Path, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    small = Artifact.load(place / "run" / "model", trust=Trust.of(["csgd_net:net"]))
    shapes = [tuple(p.shape) for p in small.module.parameters() if p.ndim == 4]
    assert shapes == [(6, 3, 3, 3), (4, 6, 3, 3)]


def test_python_ends_in_the_same_weights(
    place: Path, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    recipe = Recipe(epochs=3, seed=2, lr=0.05, batch_size=32, schedule="step")
    dense = compressor.load("csgd_net:net", seed=2)
    options = {"clusters": "even", "strength": 4.0, "vectors": 0.5}
    small = dense.prune(data="digits", recipe=recipe, seed=2, method="csgd", options=options, rate=0.5)
    expected = Artifact.load(place / "run" / "model", trust=Trust.of(["csgd_net:net"])).module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in small.module.state_dict().items())


def pipeline(**tables: Any) -> Any:
    base = {"model": {"arch": "resnet20_cifar"}, "training": {"epochs": 9}, "export": {"onnx": False}}
    return pipeline_from_tables({**base, **tables}, where="test")


def test_epochs_are_spent_before_the_cut() -> None:
    stages = stages_of(pipeline(prune={"method": "csgd", "rate": 0.5}))
    assert [(s.name, type(s.work)) for s in stages][:1] == [("prune", TrainedPrune)]
    assert [s.name for s in stages] == ["prune", "eval"]
    assert isinstance(stages[0].work, TrainedPrune)
    assert stages[0].work.recipe.epochs == 9


def test_each_shot_trains_before_its_own_cut() -> None:
    table = {"method": "csgd", "rate": 0.5, "shots": 3, "calibration_epochs": 10}
    stages = stages_of(pipeline(prune=table))
    shots = [s.work for s in stages if isinstance(s.work, TrainedPrune)]
    assert [(work.shot.number, work.recipe.epochs) for work in shots] == [(1, 4), (2, 4), (3, 4)]
    trained = [s.work.recipe.epochs for s in stages if isinstance(s.work, Train)]
    assert trained == [9]
    assert [s.name for s in stages] == ["prune 1/3", "prune 2/3", "prune 3/3", "finetune", "eval"]


def test_without_epochs_nothing_is_trained() -> None:
    stages = stages_of(pipeline(prune={"method": "csgd", "rate": 0.5}, training={"epochs": 0}))
    assert [(s.name, type(s.work)) for s in stages][:1] == [("prune", Prune)]


def test_two_workers_end_where_one_does(tmp_path: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = []
    for name, words in (("alone", []), ("both", launcher)):
        (tmp_path / name).mkdir()
        command = [sys.executable, *words, str(WORKLOAD), str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        found += [torch.load(file) for file in sorted((tmp_path / name).iterdir())]
    alone, first, second = found
    assert alone["distance"] < 1e-4
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name])
        torch.testing.assert_close(tensor, alone["weights"][name], rtol=1e-3, atol=1e-4)
