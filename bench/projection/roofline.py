"""The roofline: a layer takes as long as its arithmetic or its memory traffic, whichever is longer.

    time = sum over layers of  max(FLOPs / ceiling, bytes / bandwidth) + launch

after Williams, Waterman and Patterson (*Roofline*, Communications of the ACM 52(4), 2009), layer by layer.
Ceilings are what is sustained, not what a data sheet promises, and are known as ranges; so is the result.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.projection.layers import Layer

Limit = Literal["arithmetic", "memory", "launch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A figure that is known to lie between two."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The geometric mean."""
        return math.sqrt(self.low * self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What a device sustains in one precision.

    Attributes:
        precision: ``fp32``, ``fp16`` or ``int8``.
        element_bytes: width of weights and activations.
        flops_per_s: arithmetic, two operations per multiply-add.
        bytes_per_s: memory traffic.
        launch_s: seconds that every layer needs whatever its size.
    """

    precision: str
    element_bytes: int
    flops_per_s: Range
    bytes_per_s: Range
    launch_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Milliseconds per call, for every combination of the ends of both ceilings.

    Attributes:
        corners_ms: in the same order for every network on a device, so that they can be compared.
        middle_ms: with both ceilings in the middle of their ranges.
        limited_by: shares of ``middle_ms``, which sum to 1.
    """

    corners_ms: tuple[float, ...]
    middle_ms: float
    limited_by: dict[Limit, float]

    @property
    def range_ms(self) -> Range:
        """The shortest and the longest."""
        return Range(low=min(self.corners_ms), high=max(self.corners_ms))


def project(layers: Sequence[Layer], ceilings: Ceilings, batch: int) -> Projection:
    """Return how long a call of ``batch`` images should take.

    Args:
        layers: of one image.
        ceilings: of the device.
        batch: images per call.

    Raises:
        ValueError: there are no layers.
    """
    if not layers:
        raise ValueError("a network without layers takes no time that could be projected")
    arithmetic, memory = ceilings.flops_per_s, ceilings.bytes_per_s
    ends = itertools.product((arithmetic.low, arithmetic.high), (memory.low, memory.high))
    corners = (sum(_spent_ms(layers, ceilings, batch, *end).values()) for end in ends)
    spent = _spent_ms(layers, ceilings, batch, arithmetic.middle, memory.middle)
    total = sum(spent.values())
    shares = {limit: ms / total for limit, ms in spent.items()}
    return Projection(corners_ms=tuple(corners), middle_ms=total, limited_by=shares)


def projected_speedup(baseline: Projection, candidate: Projection) -> Range:
    """Return time of the baseline over time of the candidate; both meet the same ceilings."""
    ratios = [a / b for a, b in zip(baseline.corners_ms, candidate.corners_ms, strict=True)]
    return Range(low=min(ratios), high=max(ratios))


def _spent_ms(
    layers: Sequence[Layer], ceilings: Ceilings, batch: int, flops_per_s: float, bytes_per_s: float
) -> dict[Limit, float]:
    spent: dict[Limit, float] = {"arithmetic": 0.0, "memory": 0.0, "launch": 0.0}
    for layer in layers:
        computing_s = layer.flops(batch) / flops_per_s
        moving_s = layer.elements(batch) * ceilings.element_bytes / bytes_per_s
        limit: Limit = "arithmetic" if computing_s >= moving_s else "memory"
        spent[limit] += 1e3 * max(computing_s, moving_s)
        spent["launch"] += 1e3 * ceilings.launch_s
    return spent
