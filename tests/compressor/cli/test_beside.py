"""Models that are measured beside each other: what is named twice is opened once."""

import pytest

from compressor.cli.beside import Beside


def test_a_model_beside_itself_is_opened_once(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("resnet20_cifar", "resnet20_cifar")
    sources = Beside(names=names, shape=None, seed=0, threads=1, trust_code=False).sources()
    assert list(sources) == ["resnet20_cifar"]
    assert capsys.readouterr().err.count("resnet20_cifar: random initialisation") == 1
