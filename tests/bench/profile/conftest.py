from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor, nn

from bench.candidates import Candidate
from bench.profile.probes import Ceilings, Probes, Trial
from bench.profile.runtimes import PROFILERS
from compressor.base.files import file_digest
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS
from export.to_onnx import export_onnx

INPUTS = InputSpec(shapes=((3, 24, 24),))
USABLE = [name for name in PROFILERS if BACKENDS.get(name).missing("cpu") is None]


class Net(nn.Module):
    """Plain, depthwise and transposed convolutions, a batch norm, a pool and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.ModuleDict(
            {
                "plain": nn.Conv2d(width, 2 * width, 3, padding=1),
                "depthwise": nn.Conv2d(2 * width, 2 * width, 3, groups=2 * width),
                "up": nn.ConvTranspose2d(2 * width, width, 2, stride=2),
            }
        )
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.body.values():
            x = layer(x).relu()
        return self.fc(self.pool(x).mean(dim=(2, 3)))


@dataclass(frozen=True)
class FixedProbes(Probes):
    """Says what layers cost, without measuring: a millisecond each, on a machine with round figures."""

    ms: float = 1.0

    def convolutions(self, trials: list[Trial]) -> tuple[float, ...] | None:  # type: ignore[override]
        return tuple(self.ms for _ in trials) or None

    @property
    def ceilings(self) -> Ceilings:  # type: ignore[override]
        return Ceilings(macs_per_ms=1e6, bytes_per_ms=1e6)


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Candidate]:
    """Return width -> a network of that width in a file."""
    folder = tmp_path_factory.mktemp("profile")
    return {width: _exported(width, folder / f"{width}.onnx") for width in (13, 16)}


def _exported(width: int, path: Path) -> Candidate:
    export_onnx(Net(width).eval(), INPUTS, path, metadata={})
    return Candidate(name=path.stem, source=path, inputs=INPUTS, digest=file_digest(path))
