"""ResNets for CIFAR (He et al., Deep Residual Learning for Image Recognition, 2015, section 4.2).

6n + 2 layers in three stages of n basic blocks with 16, 32 and 64 channels; option-A shortcuts. Every stage
begins with a :class:`~compressor.channels.ChannelPad`, the first included (there it pairs 16 with 16
channels), so that the stem and each stage have widths of their own, as in the published pruned networks.
"""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from compressor.channels import ChannelPad
from compressor.rates.layout import Layout, TableLayout
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture, State
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES, OneOf

_DEPTHS = (20, 32, 44, 56, 110)
_INPUT = InputSpec(shapes=((3, 32, 32),))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; (B, in, H, W) to (B, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(branch(x) + shortcut(x))."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + self.shortcut(x))


class CifarResNet(nn.Module):
    """A ResNet of 6n + 2 layers for 32x32 images."""

    def __init__(self, depth: int, num_classes: int = 10) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, 1)
        self.layer2 = _stage(16, 32, blocks, 2)
        self.layer3 = _stage(32, 64, blocks, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.pool(x).flatten(1))
        return logits


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride, ChannelPad(in_channels, out_channels))
    rest = [BasicBlock(out_channels, out_channels, 1, nn.Identity()) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


@FAMILIES.register("cifar_resnet")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        return [f"resnet{depth}_cifar" for depth in _DEPTHS]

    @staticmethod
    def architecture(name: str) -> Architecture:
        depth = int(name.removeprefix("resnet").removesuffix("_cifar"))
        return Architecture(
            name=name,
            constructor=CifarResNet,
            kwargs={"depth": depth},
            options={"depth": OneOf((depth,)), "num_classes": CLASSES},
            input=_INPUT,
            layouts=_layouts((depth - 2) // 6),
            rename=_rename,
        )


def _layouts(blocks: int) -> dict[str, Layout]:
    stages = [[f"layer{s}.{b}" for b in range(blocks)] for s in (1, 2, 3)]
    outputs = [tuple(f"{block}.conv2" for block in stage) for stage in stages]
    inner = [(f"{block}.conv1",) for stage in stages for block in stage]
    each = [(f"{block}.{conv}",) for stage in stages for block in stage for conv in ("conv1", "conv2")]
    stem = [("conv1",)]
    return {
        "coring": TableLayout((*stem, *outputs[:2], *inner)),
        "central-filter": TableLayout((*stem, *each)),
    }


def _rename(state: State) -> State:
    """Published checkpoints call the classifier ``linear``."""
    return {
        key.replace("linear.", "fc.", 1) if key.startswith("linear.") else key: v for key, v in state.items()
    }
