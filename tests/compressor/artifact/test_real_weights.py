"""Published checkpoints on real images; needs the shared folder."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compressor.artifact import Artifact
from compressor.artifact.weights import load_weights
from compressor.data import open_data
from compressor.data.images import IndexedSet
from compressor.tasks.scores import Accuracy
from compressor.training import evaluate
from compressor.zoo import find
from tests import zygote


@pytest.fixture(scope="module")
def cifar(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("cifar") / "cifar10.npz"
    subprocess.run([sys.executable, str(shared / "data" / "unpack_cifar10.py"), str(file)], check=True)
    return file


@pytest.mark.parametrize(
    ("name", "file", "published"),
    [("resnet20_cifar", "resnet20-12fca82f.th", 91.73), ("resnet56_cifar", "resnet56-4bfd9763.th", 93.39)],
)
def test_published_accuracy(shared: Path, cifar: Path, name: str, file: str, published: float) -> None:
    arch = find(name)
    model = arch.build()
    load_weights(model, shared / "data" / "weights" / file, arch)
    score = evaluate(model, open_data(f"npz:{cifar}", arch.input).test)
    assert score.images == 5000
    # Half of the published test set: three standard deviations of the difference are about 0.8 points.
    assert abs(score.top1 - published) < 0.8


def test_the_trained_network_of_the_examples_does_what_its_papers_say(cifar: Path) -> None:
    network = Artifact.load(Path(__file__).parents[3] / "examples" / "resnet56-half")
    (said,) = network.manifest.scores.values()
    assert isinstance(said, Accuracy)
    test = open_data(f"npz:{cifar}", network.input).test
    assert isinstance(test, IndexedSet)
    some = replace(test, indices=test.indices[:1000])
    assert abs(evaluate(network.module, some).top1 - said.top1) < 2.5  # three standard errors


def test_the_command_of_the_readme_prunes_to_the_published_numbers(shared: Path, tmp_path: Path) -> None:
    words = [
        "prune",
        "resnet56_cifar",
        "--weights",
        str(shared / "data" / "weights" / "resnet56-4bfd9763.th"),
    ]
    words += ["--layout", "central-filter", "--rates", "[0.]+[0.2,0.]*9+[0.3,0.]*9+[0.4,0.]*9"]
    done = zygote.run([*words, "--dry-run", "--json"], tmp_path)
    after = json.loads(done.stdout)["cost_after"]
    assert (after["params"], after["macs"]) == (529_450, 85_193_344)
