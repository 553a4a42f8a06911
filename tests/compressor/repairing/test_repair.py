"""Repair of whole artifacts: what it gives back, what it refuses, and that it leaves its arguments alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import compressor
from compressor.artifact import Artifact
from compressor.base.errors import NotFiniteError, UsageError
from compressor.chain.files import pipeline_from_tables, pipeline_to_toml
from compressor.chain.stages import stages_of
from compressor.chain.work.repair import Repair
from compressor.data import open_data
from compressor.methods import method_of, prune
from compressor.rates import PruneRequest, Share
from compressor.repairing import RepairReport, RepairSettings, repair
from compressor.repairing.images import repair_images
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate, fine_tune
from compressor.zoo import find
from tests import zygote

Batches = list[tuple[Tensor, Tensor]]


def batches(count: int = 64, size: int = 32, shape: tuple[int, ...] = (3, 32, 32)) -> Batches:
    generator = torch.Generator().manual_seed(5)
    labels = torch.zeros(size, dtype=torch.long)
    return [(torch.randn(size, *shape, generator=generator), labels) for _ in range(count // size)]


def cut(dense: Artifact, rate: float = 0.4) -> Artifact:
    return prune(dense, PruneRequest(target=Share(rate)), method_of("l1", {}, 0), words="l1")


@pytest.fixture(scope="module")
def pair() -> tuple[Artifact, Artifact]:
    torch.manual_seed(0)
    dense = Artifact.dense(find("resnet20_cifar"))
    return dense, cut(dense)


def error(dense: Artifact, other: Artifact, images: Tensor) -> float:
    with torch.no_grad():
        expected = dense.module(images)
        return float((other.module(images) - expected).norm() / expected.norm())


def test_it_comes_closer_to_the_dense_model_and_changes_no_argument(pair: tuple[Artifact, Artifact]) -> None:
    dense, small = pair
    before = [{k: v.clone() for k, v in artifact.module.state_dict().items()} for artifact in pair]
    made = repair(dense, small, batches(128), data="somewhere", settings=RepairSettings(rows=4096))
    fresh = batches(160)[-1][0]
    assert error(dense, made, fresh) < 0.7 * error(dense, small, fresh)
    for artifact, weights in zip(pair, before, strict=True):
        assert all(torch.equal(value, weights[name]) for name, value in artifact.module.state_dict().items())
        assert not any(module._forward_hooks for module in artifact.module.modules())
    assert small.manifest.repair is None
    assert made.manifest.data == "somewhere"
    assert made.manifest.plan == small.manifest.plan
    report = made.manifest.repair
    assert isinstance(report, RepairReport)
    assert report.images == 128
    assert all(layer.after <= layer.before for layer in report.layers)
    assert not any(module._forward_hooks for module in made.module.modules())


def test_one_pass_and_several_agree(pair: tuple[Artifact, Artifact]) -> None:
    """The memory is enough for the second and third stage, whose layers share the last pass."""
    settings = {"strength": 0.01, "rows": 2048}
    together = repair(*pair, batches(), settings=RepairSettings(**settings))  # type: ignore[arg-type]
    apart = repair(*pair, batches(), settings=RepairSettings(memory=12 * 2**20, **settings))  # type: ignore[arg-type]
    for one, other in zip(
        together.module.state_dict().values(), apart.module.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_no_more_images_are_asked_for_than_are_looked_at(pair: tuple[Artifact, Artifact]) -> None:
    def endless() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield batches(32, 16)[0]

    made = repair(*pair, endless(), settings=RepairSettings(images=20, rows=256, strength=0.01))
    assert made.manifest.repair is not None
    assert made.manifest.repair.images == 20
    assert "images would determine it" in made.manifest.repair.describe()


def test_what_cannot_be_repaired_is_refused(pair: tuple[Artifact, Artifact]) -> None:
    dense, small = pair
    with pytest.raises(UsageError, match="no images"):
        repair(dense, small, [])
    with pytest.raises(UsageError, match="was not made of this"):
        repair(small, cut(Artifact.dense(find("resnet32_cifar"))), batches())
    bad = batches()
    bad[1][0][3, 0, 0, 0] = float("nan")
    with pytest.raises(NotFiniteError, match=r"conv1: the .* is NaN or infinite"):
        repair(dense, small, bad)


def test_statistics_can_be_estimated_again(pair: tuple[Artifact, Artifact]) -> None:
    made = repair(*pair, batches(), settings=RepairSettings(norms="estimated", rows=1024, strength=0.01))
    norm = made.module.get_submodule("bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.momentum == 0.1
    assert not any(module.training for module in made.module.modules())
    with torch.no_grad():
        seen = torch.cat([made.module.get_submodule("conv1")(images) for images, _ in batches()])
    torch.testing.assert_close(
        norm.running_mean, seen.mean((0, 2, 3)), atol=3e-3, rtol=0
    )  # batches differ in size


def test_papers_keep_it_and_older_papers_still_load(pair: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    made = repair(*pair, batches(), settings=RepairSettings(rows=512, strength=0.01)).save(tmp_path / "made")
    assert Artifact.load(tmp_path / "made").manifest.repair == made.manifest.repair
    assert "Repaired without labels" in (tmp_path / "made" / "README.md").read_text()
    pair[1].save(tmp_path / "small")
    assert '"repair"' not in (tmp_path / "small" / "manifest.json").read_text()
    assert Artifact.load(tmp_path / "small").manifest.repair is None
    kept = Path(__file__).parents[1] / "steps" / "written_by_0_1"
    assert Artifact.load(kept).manifest.repair is None


@pytest.fixture(scope="module")
def trained() -> Artifact:
    torch.manual_seed(0)
    dense = Artifact.dense(find("resnet20_cifar").with_options())
    data = dense.task.data.open("digits", dense.input, dense.module)
    fine_tune(dense.module, data, Recipe(epochs=2, batch_size=64, lr=0.05))
    return dense


def test_digits_come_back(trained: Artifact) -> None:
    data = open_data("digits", trained.input)
    small = cut(trained)
    made = repair(
        trained,
        small,
        repair_images(data, 128),
        settings=RepairSettings(strength=0.01, rows=8192, images=128),
    )
    before, after = (evaluate(artifact.module, data.test).top1 for artifact in (small, made))
    assert after > before + 10


def test_the_command_does_what_python_does(pair: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), np.arange(40) % 10
    np.savez(tmp_path / "tiny.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    data = f"npz:{tmp_path / 'tiny.npz'}"
    for name, artifact in zip(("dense", "small"), pair, strict=True):
        artifact.save(tmp_path / name)
    dense, seen = ["--dense", "dense"], ["--data", data]
    words = ["repair", "small", *dense, *seen, "--strength", "0.01", "-o", "made", "--json"]
    done = zygote.run(words, tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["repair"]["images"] == 36  # a tenth is held out
    assert set(document["metrics"]) == {"test dense", "test pruned", "test repaired"}
    made = compressor.load(tmp_path / "small").repair(tmp_path / "dense", data, strength=0.01)
    loaded = compressor.load(tmp_path / "made").module.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in made.module.state_dict().items())
    for wrong in (["repair", "small", *seen, "-o", "x"], ["repair", "small", *dense, "-o", "x"]):
        refused = zygote.run(wrong, tmp_path)
        assert refused.returncode == 2
        assert "Hint: give --d" in refused.stderr


def test_pruning_repairs_on_the_way(pair: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    pair[0].save(tmp_path / "dense")
    words = ["prune", "dense", "--rate", "0.4", "--repair", "-o", "small", "--json"]
    done = zygote.run([*words, "--data", "synthetic:10x3x32x32"], tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["repair"]["layers"]) == 20
    assert set(document["metrics"]) == {"test dense", "test pruned", "test repaired"}
    refused = zygote.run([*words[:5], "-o", "other"], tmp_path)
    assert refused.returncode == 2
    assert "repair needs images" in refused.stderr


def test_every_shot_is_repaired_against_what_it_was_cut_from() -> None:
    tables = {
        "model": {"arch": "resnet20_cifar"},
        "prune": {"rate": 0.5, "shots": 2, "calibration_epochs": 2},
        "repair": {"images": 64},
        "training": {"epochs": 1},
    }
    stages = stages_of(pipeline_from_tables(tables, where="test"))
    found = {s.name: (s.parent, s.work.dense) for s in stages if isinstance(s.work, Repair)}
    assert found == {"repair 1/2": ("prune 1/2", ""), "repair 2/2": ("prune 2/2", "train 1/2")}
    assert "[repair]\nimages = 64" in pipeline_to_toml(pipeline_from_tables(tables, where="test"))
