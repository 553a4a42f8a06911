"""Two ceilings from times: those with which the roofline comes closest to what was measured."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from bench.projection.probes import NOTHING, Probe
from bench.projection.roofline import Ceilings, Range

_STEPS: Final = 161
_SPREAD: Final = 4.0
"""Ceilings are looked for up to this factor above and below what the best probe reached."""

FP32_BYTES: Final = 4


def fitted(measured: Sequence[tuple[Probe, float]]) -> Ceilings:
    """Return ceilings in fp32.

    What a layer costs whatever its size is the time of `NOTHING`. Of both ceilings, the pair with the
    smallest sum of squared logarithmic errors over the other probes is taken; the root of their mean is the
    half-width of both ranges.

    Args:
        measured: probes and seconds per convolution; `NOTHING` is among them, and at least two others.

    Raises:
        ValueError: a probe is missing, or a time is not positive.
    """
    times = dict(measured)
    others = [(probe.layer, seconds) for probe, seconds in times.items() if probe != NOTHING]
    if NOTHING not in times or len(others) < 2 or min(times.values()) <= 0:
        raise ValueError("two ceilings need positive times of an empty probe and of two others")
    launch_s = times[NOTHING]
    flops = np.array([layer.flops(1) for layer, _ in others])
    moved = np.array([layer.elements(1) * FP32_BYTES for layer, _ in others])
    seconds = np.array([found for _, found in others])
    computing = flops / _candidates(float((flops / seconds).max()))[:, None, None]
    moving = moved / _candidates(float((moved / seconds).max()))[None, :, None]
    errors = np.log((np.maximum(computing, moving) + launch_s) / seconds)
    squared = (errors**2).mean(axis=-1)
    row, column = np.unravel_index(int(squared.argmin()), squared.shape)
    width = math.exp(math.sqrt(float(squared[row, column])))
    return Ceilings(
        precision="fp32", element_bytes=FP32_BYTES, launch_s=launch_s,
        flops_per_s=_around(float(flops[0] / computing[row, 0, 0]), width),
        bytes_per_s=_around(float(moved[0] / moving[0, column, 0]), width),
    )  # fmt: skip


def _candidates(best: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return best * np.geomspace(1 / _SPREAD, _SPREAD, _STEPS)


def _around(value: float, factor: float) -> Range:
    return Range(low=value / factor, high=value * factor)
