"""The program from Python."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import compressor
from compressor.api import Model
from compressor.base.errors import UsageError
from compressor.steps.shrink import outputs_of


class Own(nn.Module):
    """Somebody's own network, which a factory of this file builds."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 6, 3)
        )
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))  # type: ignore[no-any-return]


FACTORY = f"{__name__}:Own"


@pytest.fixture
def own() -> Own:
    torch.manual_seed(0)
    return Own()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import compressor, sys; assert 'torch' not in sys.modules and 'load' in compressor.__all__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        compressor.lode  # noqa: B018


def test_every_name_that_is_offered_exists() -> None:
    assert all(callable(getattr(compressor, name)) for name in compressor.__all__)


def test_a_live_module_stays_as_it_is(own: Own) -> None:
    own.train()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    small = compressor.prune(own, rate=0.5, input=(3, 16, 16))
    assert own.training
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert isinstance(small, Model)
    assert small.module.get_submodule("body.0").weight.shape == (4, 3, 3, 3)
    assert outputs_of(small.module, [torch.zeros(2, 3, 16, 16)])[0].shape == (2, 4)
    again = small.prune(rate=0.5)
    assert again.module.get_submodule("body.0").weight.shape == (2, 3, 3, 3)


def test_what_nobody_can_rebuild_is_not_saved(own: Own, tmp_path: Path) -> None:
    small = compressor.prune(own, rate=0.5, input=(3, 16, 16))
    with pytest.raises(UsageError, match="nothing rebuilds this Own") as caught:
        small.save(tmp_path / "small")
    assert "factory=" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_with_its_factory_it_comes_back(own: Own, tmp_path: Path) -> None:
    from compressor.zoo import Trust

    small = compressor.prune(own, rate=0.5, input=(3, 16, 16), factory=FACTORY)
    small.save(tmp_path / "small")
    loaded = compressor.load(tmp_path / "small", trust=Trust.of([FACTORY]))
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(outputs_of(loaded.module, [x])[0], outputs_of(small.module, [x])[0])
    assert loaded.manifest.arch == FACTORY


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rate": 0.5}, "what a live Own takes is not known"),
        ({"rate": 0.5, "input": (3, 16, 16), "factory": "resnet20_cifar"}, "builds another model"),
        ({"rate": 0.5, "input": (4, 16, 16)}, "does not run on"),
        ({"rat": 0.5, "input": (3, 16, 16)}, "unknown key 'rat'"),
        ({"input": (3, 16, 16)}, "how much to remove is not clear"),
    ],
)
def test_a_mistake_is_a_sentence(own: Own, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        compressor.prune(own, **arguments)
    assert caught.value.hint


def test_another_model_of_the_same_class_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"body\.0\.weight is \(8, 3, 3, 3\), not \(6, 3, 3, 3\)"):
        compressor.prune(Own(6), rate=0.5, input=(3, 16, 16), factory=FACTORY)


def test_files_and_models_are_scored_and_measured_alike(tmp_path: Path) -> None:
    dense = compressor.load("resnet20_cifar")
    deployed = dense.export(tmp_path / "dense.onnx")
    assert dense.evaluate("digits").describe() == compressor.evaluate(deployed.file.path, "digits").describe()
    report = compressor.bench(
        {"model": dense, "file": tmp_path / "dense.onnx"}, batches=[1], threads=1, seconds=0.2
    )
    assert [result.model for result in report.results] == ["model", "file"]
    torch_report = compressor.bench([dense], backend="torch", batches=[1], threads=1, seconds=0.1)
    assert torch_report.results[0].settings.backend == "torch"
    with pytest.raises(UsageError, match="same name"):
        compressor.bench([dense, dense])


def test_fewer_bits_need_images(tmp_path: Path) -> None:
    dense = compressor.load("resnet20_cifar")
    with pytest.raises(UsageError, match="int8 needs images"):
        dense.export(tmp_path / "m.onnx", precision="int8")
    assert list(tmp_path.iterdir()) == []
