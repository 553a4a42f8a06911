import pytest
import torch
import torchvision
from torch import Tensor, nn

from bench.projection.layers import layers_of
from compressor.base.errors import UsageError
from compressor.channels.cost import macs_of
from compressor.zoo import find


class Residual(nn.Module):
    """Every kind of operation whose cost was worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.gate = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu_()
        x = torch.relu(self.inner(x) + x)
        x = self.pool(x)
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        out: Tensor = self.head(x.flatten(1))
        return out


def test_fused_operations_cost_nothing_and_a_sum_costs_one_read() -> None:
    found = layers_of(Residual(), [torch.zeros(1, 3, 8, 8)])
    image, wide, small = 3 * 64, 8 * 64, 8 * 16
    assert [(layer.name, layer.macs, layer.weights, layer.moved) for layer in found] == [
        ("stem", 27 * 8 * 64, 27 * 8, image + wide),
        ("inner", 72 * 8 * 64, 72 * 8, wide + wide + wide),  # reads, writes, and the other term of the sum
        ("pool", 0, 0, wide + small),
        ("", 0, 0, small + 8),  # the mean
        ("gate", 64, 64 + 8, 8 + 8),
        ("", 0, 0, small + 8 + small),  # the product, which no convolution computes on the way
        ("head", 1280, 1280 + 10, small + 10),
    ]


def test_batches_repeat_activations_and_not_weights() -> None:
    stem, *_ = layers_of(Residual(), [torch.zeros(1, 3, 8, 8)])
    assert stem.elements(8) - stem.elements(1) == 7 * stem.moved
    assert stem.flops(8) == 2 * 8 * stem.macs


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "resnet20_cifar"])
def test_multiply_adds_are_those_that_are_counted_elsewhere(name: str) -> None:
    arch = find(name)
    model, inputs = arch.build(), [x[..., :64, :64] for x in arch.example()]
    found = layers_of(model, inputs)
    assert sum(layer.macs for layer in found) == macs_of(model, inputs)
    kinds = (nn.Conv2d, nn.Linear)
    weights = sum(p.numel() for m in model.modules() if isinstance(m, kinds) for p in m.parameters())
    assert sum(layer.weights for layer in found if layer.macs) == weights


def test_attention_is_counted_as_products() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.zeros(1, 5, 8)
    found = layers_of(layer, [x, x, x])
    assert sum(one.macs for one in found) == 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8


def test_what_is_not_covered_is_refused() -> None:
    class Regions(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
            found: Tensor = torchvision.ops.roi_align(x, boxes, 2)
            return found

    with pytest.raises(UsageError, match=r"does not cover torchvision.roi_align at the model itself"):
        layers_of(Regions(), [torch.zeros(1, 3, 8, 8)])
