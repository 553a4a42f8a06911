"""How a network is repaired."""

import math
from dataclasses import dataclass
from typing import Literal

from compressor.base.errors import UsageError

Norms = Literal["fitted", "estimated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairSettings:
    """How a network is repaired.

    Attributes:
        images: most calibration images that are looked at.
        strength: of the ridge towards the present weights, relative to the mean diagonal of the Gram matrix;
            None chooses one per layer on a fifth of the images, which then take part in the fit.
        sweeps: solutions per layer; each after the first knows better what ReLU will cut off anyway.
        norms: ``fitted`` gives the constant of the fit to the norm's running mean; ``estimated`` estimates
            all running statistics again afterwards, on the same images in training mode.
        rows: most positions per layer that are fitted, or 24 per weight of an output where that is more.
        memory: bytes that the paused batches may hold; layers up to which that is too little are a pass each.
        seed: of the positions that are drawn.

    Raises:
        UsageError: a value is out of range.
    """

    images: int = 512
    strength: float | None = None
    sweeps: int = 4
    norms: Norms = "fitted"
    rows: int = 32768
    memory: int = 2**31
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("images", "sweeps", "rows", "memory"):
            if getattr(self, name) < 1:
                raise UsageError(f"repair: {name} is {getattr(self, name)}", "give a number from 1 up.")
        if self.strength is not None and not (math.isfinite(self.strength) and self.strength > 0):
            raise UsageError(
                f"repair: strength is {self.strength}", "give a number above 0, 0.01 for instance."
            )
        if self.norms not in ("fitted", "estimated"):
            raise UsageError(f"repair: norms is {self.norms!r}", "give fitted or estimated.")
