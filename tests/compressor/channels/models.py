"""Small models, one per structure that the tracer must follow; each takes 3x16x16 images."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d


def conv(a: int, b: int, k: int = 3, **kw: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, k, padding=k // 2, **kw)


class Head(nn.Module):
    """Wraps a body that ends in (B, C, H, W) with pooling and a classifier."""

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__()
        self.body, self.fc = body, nn.Linear(channels, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = conv(3, 8), conv(8, 12), conv(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        return F.relu(x + self.b(F.relu(self.a(x))))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = conv(3, 6), conv(6, 4), conv(10, 4)
        self.norm = nn.BatchNorm2d(14)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.a(F.relu(x))], 1)
        return self.norm(torch.cat([x, self.b(F.relu(x))], 1))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.up = conv(3, 8), nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.grouped, self.out = conv(3, 16), conv(16, 24, groups=4), conv(24, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.grouped(F.relu(self.stem(x)))))


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.dw = conv(3, 8), conv(8, 16, groups=8)  # channel multiplier 2
        self.norm, self.out = nn.BatchNorm2d(16), conv(16, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.hardswish(self.norm(self.dw(self.stem(x)))))


class Flatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc1, self.fc2 = conv(3, 6), nn.Linear(6 * 16, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(F.max_pool2d(self.stem(x), 4).flatten(1))))


class Shuffle(nn.Module):
    """Chunk, transform one half, concatenate and shuffle, as ShuffleNet v2 does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.out = conv(3, 12), conv(6, 6), conv(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.stem(x).chunk(2, 1)
        x = torch.cat([a, F.relu(self.branch(b))], 1)
        n, c, h, w = x.shape
        return self.out(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b = conv(3, 8), FrozenBatchNorm2d(8), conv(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.norm(self.a(x))))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.up = conv(3, 8), nn.ConvTranspose2d(8, 12, 2, 2)
        self.grouped = nn.ConvTranspose2d(12, 12, 2, 2, groups=3)
        self.dw, self.out = nn.ConvTranspose2d(12, 12, 2, 2, groups=12), conv(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.dw(F.relu(self.grouped(self.up(F.relu(self.a(x)))))))


class LayerScale(nn.Module):
    """Bare parameter, layer norm over channels in NHWC, and an exact inverted bottleneck inside."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = conv(3, 8), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 20), nn.Linear(20, 8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.down(F.gelu(self.up(self.norm(x.permute(0, 2, 3, 1))))).permute(0, 3, 1, 2)
        return x + self.scale * y


class Twice(nn.Module):
    """One module called twice, on what it made itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.again, self.out = conv(3, 8), conv(8, 8), conv(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.again(F.relu(self.again(F.relu(self.stem(x)))))))


class Bare(nn.Module):
    """Weights that belong to no layer: a functional convolution, a bias, a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.shift = nn.Parameter(torch.randn(8, 3, 3, 3)), nn.Parameter(torch.randn(1, 8, 1, 1))
        self.mix = nn.Parameter(torch.randn(8, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.kernel, padding=1) + self.shift)
        return (x.permute(0, 2, 3, 1) @ self.mix).permute(0, 3, 1, 2)


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b1, self.b2, self.c = conv(3, 4, 1), conv(3, 6, 1), conv(6, 8), conv(3, 4, 1)
        self.out = conv(16, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.a(x), self.b2(F.relu(self.b1(x))), self.c(F.avg_pool2d(x, 3, 1, 1))]
        return self.out(F.relu(torch.cat(parts, 1)))


class WeightStandardised(nn.Conv2d):
    """A weight that is computed: zero mean over each filter's kernel positions."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, padding=1)


def _standardised() -> nn.Module:
    return nn.Sequential(WeightStandardised(3, 8, 3), nn.PReLU(8), WeightStandardised(8, 6, 3))


def _pixel_shuffle() -> nn.Module:
    return nn.Sequential(conv(3, 32), nn.ReLU(), nn.PixelShuffle(2), nn.PixelUnshuffle(2), conv(32, 6))


def _activations() -> nn.Module:
    """Activations in place and out of place; which of them PyTorch tags as pointwise varies by release."""
    inplace = [nn.LeakyReLU(0.1, True), nn.Hardtanh(inplace=True), nn.ELU(inplace=True), nn.SELU(True)]
    layers = [nn.CELU(inplace=True), nn.Hardsigmoid(True), nn.Hardswish(), nn.LogSigmoid(), nn.Mish(True)]
    return nn.Sequential(conv(3, 8), *inplace, *layers, conv(8, 12), nn.GLU(1), conv(6, 6))


def _group_norm() -> nn.Module:
    return nn.Sequential(conv(3, 8), nn.GroupNorm(2, 8), nn.ReLU(), conv(8, 6))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: Head(nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 6)), 6),
    "residual": lambda: Head(Residual(), 8),
    "dense": lambda: Head(Dense(), 14),
    "inception": lambda: Head(Inception(), 8),
    "squeeze_excite": lambda: Head(SqueezeExcite(), 8),
    "grouped": lambda: Head(Grouped(), 8),
    "depthwise": lambda: Head(Depthwise(), 6),
    "flatten": Flatten,
    "shuffle": lambda: Head(Shuffle(), 6),
    "frozen_norm": lambda: Head(Frozen(), 8),
    "transposed": lambda: Head(Transposed(), 8),
    "layer_scale": lambda: Head(LayerScale(), 8),
    "called_twice": lambda: Head(Twice(), 6),
    "bare_parameters": lambda: Head(Bare(), 6),
    "computed_weight": lambda: Head(_standardised(), 6),
    "pixel_shuffle": lambda: Head(_pixel_shuffle(), 6),
    "activations": lambda: Head(_activations(), 6),
    "group_norm": lambda: Head(_group_norm(), 6),
}
