"""A tiny problem that trains in milliseconds, and one thread: these operations are too small to share."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from compressor.data import DataSplits, open_data
from compressor.zoo.inputs import InputSpec


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def data() -> DataSplits:
    return open_data("synthetic:80x3x8x8", InputSpec(shapes=((3, 8, 8),)))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)
    )
