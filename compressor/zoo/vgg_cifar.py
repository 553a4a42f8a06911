"""VGG-16 with batch normalisation for CIFAR (Simonyan and Zisserman, 2014, configuration D).

The classifier is the small one of the pruning literature: 2x2 average pool, Linear-BatchNorm-ReLU, Linear.
Layer names carry their position in the configuration, pools included, as in the published checkpoints.
"""

from collections import OrderedDict
from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from compressor.rates.layout import Layout, TableLayout
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES

_INPUT = InputSpec(shapes=((3, 32, 32),), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))

_POOL = 0
_CONFIGURATION = (64, 64, _POOL, 128, 128, _POOL, *(256,) * 3, _POOL, *(512,) * 3, _POOL, *(512,) * 3)


class CifarVGG(nn.Module):
    """Thirteen 3x3 convolutions and two linear layers for 32x32 images."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = _features()
        self.classifier = nn.Sequential(
            OrderedDict(
                linear1=nn.Linear(512, 512),
                norm1=nn.BatchNorm1d(512),
                relu1=nn.ReLU(inplace=True),
                linear2=nn.Linear(512, num_classes),
            )
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, 32, 32) to logits (B, classes)."""
        # functional, as the authors pool: thop then counts what their tables count
        logits: Tensor = self.classifier(F.avg_pool2d(self.features(x), 2).flatten(1))
        return logits


def _features() -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for position, width in enumerate(_CONFIGURATION):
        if width == _POOL:
            layers[f"pool{position}"] = nn.MaxPool2d(2)
            continue
        layers[f"conv{position}"] = nn.Conv2d(channels, width, 3, padding=1)
        layers[f"norm{position}"] = nn.BatchNorm2d(width)
        layers[f"relu{position}"] = nn.ReLU(inplace=True)
        channels = width
    return nn.Sequential(layers)


@FAMILIES.register("vgg_cifar")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        return ["vgg16_bn_cifar"]

    @staticmethod
    def architecture(name: str) -> Architecture:
        return Architecture(
            name=name,
            constructor=CifarVGG,
            input=_INPUT,
            options={"num_classes": CLASSES},
            layouts=_layouts(),
        )


def _layouts() -> dict[str, Layout]:
    """Return both authors' layouts; neither touches the 512 outputs of ``classifier.linear1``.

    The CORING scripts give 12 numbers where their code reads 13: append ``+[0.]``.
    """
    each = tuple(
        (f"features.conv{position}",) for position, width in enumerate(_CONFIGURATION) if width != _POOL
    )
    return {"coring": TableLayout(each), "central-filter": TableLayout(each[:-1])}
