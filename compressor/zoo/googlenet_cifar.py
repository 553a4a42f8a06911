"""GoogLeNet for CIFAR (Szegedy et al., Going Deeper with Convolutions, 2015), as pruning papers use it.

A 3x3 stem at full resolution, nine inception blocks with batch normalisation, and two 3x3 convolutions in
place of each 5x5. Every convolution has a bias, a norm and a ReLU.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.rates.layout import Layout, truncated
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES

_INPUT = InputSpec(shapes=((3, 32, 32),), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels of the four branches of one block, and of the 1x1 convolutions before the larger kernels."""

    one: int
    three: int
    five: int
    pool: int
    reduce_three: int
    reduce_five: int

    @property
    def out(self) -> int:
        """Channels of the block's output."""
        return self.one + self.three + self.five + self.pool


_STEM = 192
_BLOCKS = {
    "a3": Widths(64, 128, 32, 32, 96, 16),
    "b3": Widths(128, 192, 96, 64, 128, 32),
    "a4": Widths(192, 208, 48, 64, 96, 16),
    "b4": Widths(160, 224, 64, 64, 112, 24),
    "c4": Widths(128, 256, 64, 64, 128, 24),
    "d4": Widths(112, 288, 64, 64, 144, 32),
    "e4": Widths(256, 320, 128, 128, 160, 32),
    "a5": Widths(256, 320, 128, 128, 160, 32),
    "b5": Widths(384, 384, 128, 128, 192, 48),
}


class Inception(nn.Module):
    """Four branches side by side; (B, in, H, W) to (B, widths.out, H, W)."""

    def __init__(self, in_channels: int, widths: Widths) -> None:
        super().__init__()
        w = widths
        self.branch1x1 = nn.Sequential(*_conv(in_channels, w.one, 1))
        self.branch3x3 = nn.Sequential(
            *_conv(in_channels, w.reduce_three, 1), *_conv(w.reduce_three, w.three, 3)
        )
        self.branch5x5 = nn.Sequential(
            *_conv(in_channels, w.reduce_five, 1), *_conv(w.reduce_five, w.five, 3), *_conv(w.five, w.five, 3)
        )
        self.branch_pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), *_conv(in_channels, w.pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches, concatenated along channels."""
        branches = (self.branch1x1, self.branch3x3, self.branch5x5, self.branch_pool)
        return torch.cat([branch(x) for branch in branches], dim=1)


def _conv(in_channels: int, out_channels: int, kernel: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)


class CifarGoogLeNet(nn.Module):
    """A stem and nine inception blocks for 32x32 images."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.pre_layers = nn.Sequential(*_conv(3, _STEM, 3))
        channels = _STEM
        for name, widths in _BLOCKS.items():
            self.add_module(f"inception_{name}", Inception(channels, widths))
            channels = widths.out
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.avgpool = nn.AvgPool2d(8, stride=1)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, 32, 32) to logits (B, classes)."""
        x = self.pre_layers(x)
        for name in _BLOCKS:
            if name in ("a4", "a5"):
                x = self.maxpool(x)
            x = self.get_submodule(f"inception_{name}")(x)
        logits: Tensor = self.linear(self.avgpool(x).flatten(1))
        return logits


@FAMILIES.register("googlenet_cifar")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        return ["googlenet_cifar"]

    @staticmethod
    def architecture(name: str) -> Architecture:
        layouts: dict[str, Layout] = {"coring": _CoringLayout(), "central-filter": _CentralFilterLayout()}
        return Architecture(
            name=name,
            constructor=CifarGoogLeNet,
            input=_INPUT,
            options={"num_classes": CLASSES},
            layouts=layouts,
        )


_STEM_PATH = "pre_layers.0"
_PRUNED = tuple(
    tuple(f"inception_{name}.{layer}" for layer in ("branch3x3.3", "branch5x5.3", "branch5x5.6"))
    for name in _BLOCKS
)
"""Per block: the 3x3 convolution, then the two that stand for the 5x5."""

_LAST = _PRUNED[-1][1]
"""The only convolution of the last block that both authors prune: the others feed the classifier."""


@dataclass(frozen=True, slots=True)
class _CoringLayout:
    """CORING: the stem stays whole, then one rate per block."""

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means: its convolutions."""
        return (f"{_STEM_PATH} (ignored: it stays whole)", *(" and ".join(p) for p in _PRUNED[:-1]), _LAST)

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> int(c * (1 - r))."""
        layers = (*_PRUNED[:-1], (_LAST,))
        each = zip(layers, rates[1:], strict=True)
        return {path: truncated(sizes[path], rate) for paths, rate in each for path in paths}


@dataclass(frozen=True, slots=True)
class _CentralFilterLayout:
    """Central Filter: the stem, then three rates per block, of which the last block heeds one."""

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means: its convolution."""
        last = (path if path == _LAST else f"{path} (ignored: it stays whole)" for path in _PRUNED[-1])
        return (_STEM_PATH, *(path for paths in _PRUNED[:-1] for path in paths), *last)

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> channels to keep."""
        paths = (_STEM_PATH, *(path for block in _PRUNED for path in block))
        ignored = set(_PRUNED[-1]) - {_LAST}
        each = zip(paths, rates, strict=True)
        return {path: _width(path, sizes[path], rate) for path, rate in each if path not in ignored}


def _width(path: str, channels: int, rate: float) -> int:
    """Return int(c * (1 - r)), which the authors round to three decimals where blocks are joined."""
    joined = path.endswith(("branch3x3.3", "branch5x5.6"))
    return int(round(channels * (1 - rate), 3)) if joined else truncated(channels, rate)
