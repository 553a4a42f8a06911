"""Layer by layer: every turn is a stage that resumes, and merging stays only where it helps."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import compressor
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.chain.job import Job
from compressor.chain.memory import Memory
from compressor.chain.settings import PruneTable
from compressor.chain.work import Stage
from compressor.chain.work.prune import Prune
from compressor.data import ImageSet
from compressor.steps.channels import ChangeChannels
from compressor.tasks.scores import Accuracy
from compressor.zoo import find
from tests import zygote

RECIPE = """
[model]
arch = "resnet20_cifar"

[prune]
method = "central_filter"
rate = 0.4
turns = ["layer3.*.conv1", "layer2"]
undo = true

[between]
epochs = 1

[training]
epochs = 0

[export]
onnx = false
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("turns")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (160, 32, 32, 3), dtype=np.uint8), np.arange(160) % 10
    np.savez(folder / "tiny.npz", x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def test_turns_are_stages_that_resume(place: Path) -> None:
    words = ["run", "recipe.toml", "--data", "npz:tiny.npz", "-o", "run", "--json"]
    done = zygote.run(words, place)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("validation: ") == 2
    shutil.rmtree(place / "run" / "model")
    again = zygote.run(words, place)
    assert again.returncode == 0, again.stderr
    assert [f"{name}: done before" in again.stderr for name in ("prune 1/2", "train 2/2", "eval")] == [
        True, True, False
    ]  # fmt: skip
    manifest = json.loads((place / "run" / "model" / "manifest.json").read_text())
    first, second = manifest["plan"]["steps"]
    cut = [{g["name"] for g in step["decisions"] if g["kept"] < g["size"]} for step in (first, second)]
    assert cut[0] == {f"layer3.{block}.conv1" for block in range(3)}
    assert "layer1.0.conv1" in cut[1]
    assert not cut[0] & cut[1]


@dataclass(frozen=True, kw_only=True)
class Scored(Job):
    """A job in which a model's score depends on whether its plan merges."""

    merged: float = 0.0

    def score(self, artifact: Artifact, images: ImageSet) -> Accuracy:
        step = artifact.manifest.plan.steps[-1]
        assert isinstance(step, ChangeChannels)
        return Accuracy(top1=self.merged if step.intos else 50.0, top5=100.0, images=1, loss=1.0)


@pytest.mark.parametrize(("merged", "kept"), [(49.0, False), (50.0, True), (51.0, True)])
def test_merging_is_undone_only_where_that_is_better(place: Path, merged: float, kept: bool) -> None:
    torch.manual_seed(0)
    start, said = Artifact.dense(find("resnet20_cifar")), list[str]()
    job = Scored(
        open=lambda: start, store=Memory(), spec=f"npz:{place / 'tiny.npz'}", device=torch.device("cpu"),
        say=said.append, teacher=lambda: start.module, merged=merged,
    )  # fmt: skip
    work = Prune(table=PruneTable(method="central_filter", rate=0.4, undo=True))
    made = work.carry_out(job, Stage(name="prune", output="pruned", work=work), start)
    (step,) = made.manifest.plan.steps
    assert bool(step.intos) == kept  # type: ignore[attr-defined]
    assert ("merging undone" in made.manifest.method) != kept
    assert made.manifest.oracle is not None
    assert said[-1].endswith("merged" if kept else "dropped")
    always = replace(work, table=replace(work.table, undo=False))
    same = always.carry_out(job, Stage(name="prune", output="pruned", work=always), start)
    assert same.manifest.cost_after == made.manifest.cost_after
    assert shapes(same) == shapes(made)


def test_turns_are_not_ignored_where_one_cut_is_asked_for() -> None:
    with pytest.raises(UsageError, match="compress run"):
        compressor.prune("resnet20_cifar", rate=0.4, turns=["conv1"])


def shapes(artifact: Artifact) -> list[torch.Size]:
    return [parameter.shape for parameter in artifact.module.parameters()]
