import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compressor.artifact import Artifact, read_manifest
from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.channels.cost import measure
from compressor.methods import prune
from compressor.methods.ranked import Ranked
from compressor.rates import Budget, PruneRequest
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Accuracy, Moment
from compressor.zoo import find

RELOAD = """
import sys, torch
from pathlib import Path
from compressor.artifact import Artifact
torch.set_num_threads(1)
model = Artifact.load(Path(sys.argv[1])).module
x = torch.load(sys.argv[2])
with torch.no_grad():
    torch.save(model(x), sys.argv[3])
"""


@pytest.fixture(scope="module")
def pruned() -> Artifact:
    torch.manual_seed(0)
    dense = Artifact.dense(find("resnet20_cifar"))
    small = prune(
        dense, PruneRequest(target=Budget("macs", fraction=0.5)), Ranked.by("l2", {}, 0), words="l2"
    )
    return replace(small, manifest=replace(small.manifest, recipe=Recipe(warmup_epochs=1)))


@pytest.fixture
def saved(pruned: Artifact, tmp_path: Path) -> Path:
    pruned.save(tmp_path / "a")
    return tmp_path / "a"


def test_a_fresh_process_computes_the_same_bits(pruned: Artifact, saved: Path, tmp_path: Path) -> None:
    x = torch.randn(4, 3, 32, 32)
    torch.save(x, tmp_path / "x.pt")
    files = [str(saved), str(tmp_path / "x.pt"), str(tmp_path / "y.pt")]
    subprocess.run([sys.executable, "-c", RELOAD, *files], check=True)
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "y.pt"), pruned.module(x))


def test_the_manifest_comes_back_as_it_was(saved: Path, pruned: Artifact) -> None:
    manifest = read_manifest(saved)
    assert manifest.plan == pruned.manifest.plan
    assert manifest.recipe == pruned.manifest.recipe
    assert manifest.digest() == json.loads((saved / "manifest.json").read_text())["digest"]
    assert "| parameters | 269,722 |" in (saved / "README.md").read_text()
    assert sorted(p.name for p in saved.iterdir()) == ["README.md", "manifest.json", "model.safetensors"]


def test_opened_with_another_input_its_papers_speak_of_that(pruned: Artifact, tmp_path: Path) -> None:
    score = Accuracy(top1=50.0, top5=90.0, images=8, loss=1.0)
    kept = pruned.scored(Moment("test"), score, "digits").save(tmp_path / "a").manifest
    larger = Artifact.load(tmp_path / "a", shapes=((3, 64, 64),))
    papers = larger.manifest
    dense = Artifact.dense(find("resnet20_cifar"), shapes=((3, 64, 64),)).manifest
    assert papers.cost_before == dense.cost_before
    assert papers.cost_after == measure(larger.module, [torch.randn(1, 3, 64, 64)])
    assert papers.cost_after.macs > 3 * kept.cost_after.macs
    assert papers.scores == {}
    larger.save(tmp_path / "b")
    assert Artifact.load(tmp_path / "b").manifest.cost_before == dense.cost_before
    assert Artifact.load(tmp_path / "a", shapes=((3, 32, 32),)).manifest == kept


def _flip_a_weight(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def _cut_weights(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:1000])


def _remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _edit(folder: Path, **changes: object) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**data, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip_a_weight, "expected"),
        (_cut_weights, "cut short"),
        (_remove_weights, "cannot be read"),
        (lambda folder: (folder / "manifest.json").unlink(), "no artifact"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "no readable JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "schema version None"),
        (lambda folder: _edit(folder, schema_version=99), "schema version 99, this program reads 1"),
        (lambda folder: _edit(folder, method="better"), "was changed"),
        (lambda folder: _edit(folder, method=3), "method"),
        (lambda folder: _edit(folder, plan={}), "schema version None"),
    ],
)
def test_damage_is_refused_with_the_reason(saved: Path, damage: object, message: str) -> None:
    damage(saved)
    with pytest.raises(ArtifactError, match=message) as caught:
        Artifact.load(saved)
    assert caught.value.hint


def test_an_existing_folder_is_not_touched(saved: Path, pruned: Artifact) -> None:
    before = (saved / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match="exists"):
        pruned.save(saved)
    assert (saved / "manifest.json").read_bytes() == before


def test_a_failed_write_leaves_nothing_behind(
    pruned: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CompressError, match="No space left"):
        pruned.save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
