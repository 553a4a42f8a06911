"""DenseNet for CIFAR (Huang et al., Densely Connected Convolutional Networks, 2017), without bottlenecks.

DenseNet-40: growth 12, a stem of 24, three blocks of 12 layers BN-ReLU-conv, each of which appends its output
to its input, and between blocks a transition BN-ReLU-1x1 conv-average pool that keeps the width.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.rates.layout import Layout, TableLayout, truncated
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES

_INPUT = InputSpec(shapes=((3, 32, 32),), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
_DEPTH, _GROWTH = 40, 12


class DenseLayer(nn.Module):
    """BN, ReLU, 3x3 convolution; (B, in, H, W) to (B, in + growth, H, W)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the new channels behind it."""
        return torch.cat([x, self.conv1(F.relu(self.bn1(x)))], dim=1)


class Transition(nn.Module):
    """BN, ReLU, 1x1 convolution, 2x2 average pool; (B, C, H, W) to (B, C, H / 2, W / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x mixed and halved."""
        # functional, as the authors pool: thop then counts what their tables count
        return F.avg_pool2d(self.conv1(F.relu(self.bn1(x))), 2)


class CifarDenseNet(nn.Module):
    """A DenseNet of 3n + 4 layers for 32x32 images."""

    def __init__(self, depth: int = _DEPTH, growth: int = _GROWTH, num_classes: int = 10) -> None:
        super().__init__()
        layers = (depth - 4) // 3
        stem, added = 2 * growth, layers * growth
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.dense1 = _block(stem, growth, layers)
        self.trans1 = Transition(stem + added)
        self.dense2 = _block(stem + added, growth, layers)
        self.trans2 = Transition(stem + 2 * added)
        self.dense3 = _block(stem + 2 * added, growth, layers)
        self.bn = nn.BatchNorm2d(stem + 3 * added)
        self.avgpool = nn.AvgPool2d(8)
        self.fc = nn.Linear(stem + 3 * added, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, 32, 32) to logits (B, classes)."""
        x = self.trans1(self.dense1(self.conv1(x)))
        x = self.dense3(self.trans2(self.dense2(x)))
        logits: Tensor = self.fc(self.avgpool(F.relu(self.bn(x))).flatten(1))
        return logits


def _block(channels: int, growth: int, layers: int) -> nn.Sequential:
    return nn.Sequential(*(DenseLayer(channels + i * growth, growth) for i in range(layers)))


@FAMILIES.register("densenet_cifar")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        return [f"densenet{_DEPTH}_cifar"]

    @staticmethod
    def architecture(name: str) -> Architecture:
        layouts: dict[str, Layout] = {
            "coring": _CoringLayout(),
            "central-filter": TableLayout(tuple((path,) for path in _CONVOLUTIONS)),
        }
        return Architecture(
            name=name,
            constructor=CifarDenseNet,
            input=_INPUT,
            options={"num_classes": CLASSES},
            layouts=layouts,
        )


_LAYERS = (_DEPTH - 4) // 3
_CONVOLUTIONS = (
    "conv1",
    *(f"dense1.{i}.conv1" for i in range(_LAYERS)),
    "trans1.conv1",
    *(f"dense2.{i}.conv1" for i in range(_LAYERS)),
    "trans2.conv1",
    *(f"dense3.{i}.conv1" for i in range(_LAYERS)),
)
"""In execution order, which is the order of both authors' rates."""


@dataclass(frozen=True, slots=True)
class _CoringLayout:
    """CORING: the stem stays whole, and a transition's rate is a share of what arrives after pruning."""

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means: its convolution."""
        return ("conv1 (ignored: it stays whole)", *_CONVOLUTIONS[1:])

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> channels to keep, following the width that grows along each block."""
        widths: dict[str, int] = {}
        running = sizes["conv1"]
        for path, rate in zip(_CONVOLUTIONS[1:], rates[1:], strict=True):
            if path.startswith("trans"):
                running = widths[path] = truncated(running, rate)
            else:
                widths[path] = truncated(sizes[path], rate)
                running += widths[path]
        return widths
