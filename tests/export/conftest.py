from collections.abc import Callable

import pytest
import torch
from torch import nn

from compressor.zoo.inputs import InputSpec
from export.to_onnx import export_onnx


@pytest.fixture(scope="session")
def image() -> InputSpec:
    return InputSpec(shapes=((3, 16, 16),))


@pytest.fixture(scope="session")
def tiny_net() -> Callable[[], nn.Module]:
    return _tiny_net


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory, image: InputSpec) -> bytes:
    """Return the tiny net as an ONNX file; exported once, as that takes a second."""
    path = tmp_path_factory.mktemp("tiny") / "m.onnx"
    return export_onnx(_tiny_net(), image, path, metadata={}).path.read_bytes()


def _tiny_net() -> nn.Module:
    """Convolution, norm with statistics as after training, pooling, linear: the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(8)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
        layers = [nn.Conv2d(3, 8, 3, padding=1, bias=False), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 5))
