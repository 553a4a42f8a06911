"""A model small enough for every method, and what a method makes of it."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.artifact import Artifact
from compressor.methods import Method, method_of
from compressor.methods.ranking import Planned
from compressor.rates import PruneRequest, Share
from compressor.steps.shrink import perturb_norms
from compressor.training.constraints import FREE
from compressor.zoo import Architecture
from compressor.zoo.inputs import InputSpec

REQUEST = PruneRequest(target=Share(0.5))


class Small(nn.Module):
    """Three convolutions of 8, 12 and 8 channels; the first and the last are added."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.inner, self.norm2 = nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.last, self.norm3 = nn.Conv2d(12, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.first(x)))
        y = F.relu(self.norm2(self.inner(x)))
        logits: Tensor = self.fc(F.relu(x + self.norm3(self.last(y))).mean((2, 3)))
        return logits


ARCH = Architecture(name="small", constructor=Small, input=InputSpec(shapes=((3, 8, 8),)))


def artifact() -> Artifact:
    """Return the model with weights, and norms as if it had been trained."""
    torch.manual_seed(0)
    made = Artifact.of(perturb_norms(ARCH.build()), ARCH)
    return Artifact(module=made.module, manifest=made.manifest, own=ARCH)


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Return smooth images: of noise, maps have full rank and HRank cannot tell channels apart."""
    generator = torch.Generator().manual_seed(0)
    small = (torch.randn(4, 3, 4, 4, generator=generator) for _ in range(2))
    return ((F.interpolate(x, scale_factor=2, mode="bilinear"), torch.arange(4)) for x in small)


def started(name: str) -> tuple[Artifact, Method[Any], Any]:
    """Return the model, a method with its usual options, and the state that it starts with."""
    model, method = artifact(), method_of(name, {}, seed=0)
    return model, method, method.start(model, REQUEST, batches() if method.looks else None)


def planned(name: str) -> Planned:
    """Return the plan of a method that trains nothing before the cut."""
    model, method, state = started(name)
    assert method.constraint(state) is FREE
    return method.finish(method.prepare(model.module, state), state)
