import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.facts import Result
from bench.report.reading import read_result
from compressor.api import prune
from tests.bench.report import examples

Read = Callable[[examples.Json], Result]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that writes a document to a file and reads it as a result."""

    def written(document: examples.Json) -> Result:
        path = tmp_path / "result.json"
        path.write_text(json.dumps(document))
        return read_result(path)

    return written


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a pruned network."""
    folder = tmp_path_factory.mktemp("artifact") / "half"
    prune("resnet20_cifar", rate=0.45).save(folder)
    return folder


@pytest.fixture(scope="session")
def results(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Return one result of each kind, all about the same two models."""
    folder = tmp_path_factory.mktemp("results")
    more = {"eval of the other": examples.scores("dense.onnx", 92.5), "server": examples.server()}
    found = []
    for name, document in (examples.every() | more).items():
        (folder / f"{name}.json").write_text(json.dumps(document))
        found.append(read_result(folder / f"{name}.json"))
    return [*found, read_result(artifact)]
