"""MobileNetV2 for CIFAR (Sandler et al., Inverted Residuals and Linear Bottlenecks, 2018).

The ImageNet network with stride 1 in the stem and in the second stage, and the flat key names of the
published checkpoints (``features.2.conv.6`` is torchvision's ``features.2.conv.2``). The rate layout is
shared with torchvision's network, whose layers have other names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from compressor.rates.layout import truncated
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES

_INPUT = InputSpec(shapes=((3, 32, 32),), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
_STEM, _HEAD, _EXPANSION = 32, 1280, 6


@dataclass(frozen=True, slots=True)
class Bottlenecks:
    """Consecutive blocks of one width; the first has the stride.

    Attributes:
        expansion: hidden channels per input channel.
        width: output channels.
        blocks: how many.
        stride: of the first.
    """

    expansion: int
    width: int
    blocks: int
    stride: int


_STAGES = (
    Bottlenecks(1, 16, 1, 1),
    Bottlenecks(_EXPANSION, 24, 2, 1),
    Bottlenecks(_EXPANSION, 32, 3, 2),
    Bottlenecks(_EXPANSION, 64, 4, 2),
    Bottlenecks(_EXPANSION, 96, 3, 1),
    Bottlenecks(_EXPANSION, 160, 3, 2),
    Bottlenecks(_EXPANSION, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expand, filter per channel, project; (B, in, H, W) to (B, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        expand = _conv(in_channels, hidden, 1) if expansion > 1 else ()
        depthwise = _conv(hidden, hidden, 3, stride=stride, groups=hidden)
        project = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self.conv = nn.Sequential(*expand, *depthwise, project, nn.BatchNorm2d(out_channels))
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return branch(x), plus x where the shapes agree."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(out_channels), nn.ReLU6(inplace=True)


class CifarMobileNetV2(nn.Module):
    """A stem, seventeen inverted residuals and a head for 32x32 images."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Sequential(*_conv(3, _STEM, 3))]
        channels = _STEM
        for stage in _STAGES:
            for stride in (stage.stride, *(1,) * (stage.blocks - 1)):
                blocks.append(InvertedResidual(channels, stage.width, stride, stage.expansion))
                channels = stage.width
        self.features = nn.Sequential(*blocks, nn.Sequential(*_conv(channels, _HEAD, 1)))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_HEAD, num_classes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, classes)."""
        # a mean, as the authors have it: thop then counts what their tables count
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


@FAMILIES.register("mobilenet_v2_cifar")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        return ["mobilenet_v2_cifar"]

    @staticmethod
    def architecture(name: str) -> Architecture:
        layouts = {"coring": InvertedResidualLayout(expand="conv.0", project="conv.6", first="conv.3")}
        return Architecture(
            name=name,
            constructor=CifarMobileNetV2,
            input=_INPUT,
            options={"num_classes": CLASSES},
            layouts=layouts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedResidualLayout:
    """CORING: one rate per stage for its output; hidden widths follow; the stem and the head stay whole.

    Attributes:
        expand: name of the 1x1 convolution that widens, within a block.
        project: name of the 1x1 convolution that narrows.
        first: the same in the first block, which does not widen.
    """

    expand: str
    project: str
    first: str

    @property
    def expected(self) -> tuple[str, ...]:
        """What each number means: a stage's output, named by its last layer."""
        stages = (f"output of stage {n} ({self._in_words(blocks)})" for n, blocks in enumerate(_blocks(), 1))
        return ("features.0.0 (ignored: it stays whole)", *stages)

    def widths(self, rates: Sequence[float], sizes: Mapping[str, int]) -> dict[str, int]:
        """Return module path -> channels to keep; a block's hidden width is six times its pruned input."""
        widths: dict[str, int] = {}
        incoming = 0
        for blocks, rate in zip(_blocks(), rates[1:], strict=True):
            for block in blocks:
                if block > 1:
                    widths[f"features.{block}.{self.expand}"] = _EXPANSION * incoming
                path = self._projection(block)
                incoming = widths[path] = truncated(sizes[path], rate)
        return widths

    def _projection(self, block: int) -> str:
        return f"features.{block}.{self.first if block == 1 else self.project}"

    def _in_words(self, blocks: range) -> str:
        return " and ".join(self._projection(block) for block in blocks)


def _blocks() -> Iterable[range]:
    """Return the positions in ``features`` of each stage's blocks."""
    start = 1
    for stage in _STAGES:
        yield range(start, start + stage.blocks)
        start += stage.blocks
