"""This machine: two ceilings of ONNX Runtime on its CPU, fitted to a few convolutions.

It is the device whose projections can be held against measurements, which tells what projections are worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bench.projection.devices import DEVICES
from bench.projection.fit import fitted
from bench.projection.probes import PROBES, seconds_per_layer
from bench.projection.roofline import Ceilings


@dataclass(frozen=True, slots=True)
class Here:
    """The CPU that this program runs on."""

    title: str = "this machine, ONNX Runtime on its CPU"
    source: str = "measured now on a few chains of convolutions, and fitted; the range is the fit's error"

    def ceilings(self, threads: int | None) -> Sequence[Ceilings]:
        """Return the ceilings in fp32, measured once per process and number of threads in a few seconds."""
        return (_measured(threads),)


@cache
def _measured(threads: int | None) -> Ceilings:
    return fitted([(probe, seconds_per_layer(probe, threads)) for probe in PROBES])


DEVICES.register("here")(Here())
