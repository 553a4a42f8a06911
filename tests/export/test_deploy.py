from pathlib import Path

import pytest

from compressor.artifact import Artifact
from compressor.base.errors import ParityError
from compressor.tasks.classification import Logits
from compressor.zoo import find
from export import deploy as module


def test_a_file_that_fails_parity_goes_and_its_neighbours_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = Artifact.dense(find("resnet20_cifar"))
    (tmp_path / "m.onnx.bak").write_text("mine")

    def beyond(*_: object, **__: object) -> None:
        raise ParityError("outputs differ", "look at them")

    monkeypatch.setattr(Logits, "compare", beyond)
    with pytest.raises(ParityError):
        module.deploy(artifact, tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx.bak"]
