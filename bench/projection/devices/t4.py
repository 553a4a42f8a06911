"""NVIDIA T4: published peaks, times what is sustained of them.

Peaks at boost clock are 8.1 TFLOPS in fp32, 65 in fp16 and 130 TOPS in int8 on tensor cores, and 320 GB/s.
The card is held at 70 W, so that clocks fall under load: 0.57 to 0.7 of the arithmetic is sustained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.projection.devices import DEVICES
from bench.projection.roofline import Ceilings, Range

_BANDWIDTH = Range(low=240e9, high=260e9)
_LAUNCH_S = 5e-6


@dataclass(frozen=True, slots=True)
class T4:
    """The card, with clocks as they come."""

    title: str = "NVIDIA T4, 70 W, clocks not locked"
    source: str = (
        "data sheet, times what is sustained; fp16 and int8 on tensor cores, 5 us per launch without a CUDA "
        "graph; the project has not measured this card"
    )

    def ceilings(self, threads: int | None) -> Sequence[Ceilings]:
        """Return the ceilings of the three precisions that it has units for."""
        return (
            _ceilings("fp32", 4, Range(low=4.6e12, high=5.7e12)),
            _ceilings("fp16", 2, Range(low=37e12, high=45e12)),
            _ceilings("int8", 1, Range(low=74e12, high=91e12)),
        )


def _ceilings(precision: str, element_bytes: int, flops_per_s: Range) -> Ceilings:
    return Ceilings(
        precision=precision, element_bytes=element_bytes, flops_per_s=flops_per_s, bytes_per_s=_BANDWIDTH,
        launch_s=_LAUNCH_S,
    )  # fmt: skip


DEVICES.register("t4")(T4())
