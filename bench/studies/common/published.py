"""Published checkpoints and rate strings, and the short training that tries them."""

from typing import Final

from compressor.rates import PruneRequest, Published
from compressor.tasks.recipe import Recipe

CHECKPOINTS: Final = {
    "resnet20_cifar": ("resnet20-12fca82f.th", 91.73),
    "resnet32_cifar": ("resnet32-d509ac18.th", 92.63),
    "resnet44_cifar": ("resnet44-014dd654.th", 93.11),
    "resnet56_cifar": ("resnet56-4bfd9763.th", 93.39),
}
"""Architecture -> file of weights, and the published top-1 in percent on CIFAR-10's test images."""

STRINGS: Final = {"A": "[0.]+[0.1]*3+[0.35]*16", "B": "[0.]+[0.5]*3+[0.6]*16"}
"""For ResNet-50, in CORING's layout."""

ROW: Final = PruneRequest(target=Published("[0.]+[0.2,0.]*9+[0.3,0.]*9+[0.4,0.]*9", "central-filter"))
"""For ResNet-56, in Central Filter's layout."""

EPOCH: Final = Recipe(epochs=1, lr=0.01, batch_size=128)
"""Fine-tuning on CIFAR-10 that fits a CPU."""
