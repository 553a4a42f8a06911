"""TensorRT's own clock: milliseconds of every layer of a call.

A context with a profiler runs its layers one after the other and waits for each, so that their sum is more
than a call takes without it. (`IProfiler` in the documentation of TensorRT 10.16 and 11.4; enqueueing reports
by itself unless ``enqueue_emits_profile`` was switched off.)
"""

from __future__ import annotations  # types of a module that may not be installed

from collections.abc import Sequence
from dataclasses import dataclass

from export.tensorrt import api as trt


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTimes:
    """What some calls took.

    Attributes:
        calls: of each, milliseconds by the name of the layer.
        inspected: what the engine inspector says of the layers: JSON, see `export.tensorrt.precision`.
    """

    calls: Sequence[dict[str, float]]
    inspected: str

    def least_ms(self) -> dict[str, float]:
        """Return the smallest time of each layer, in the order of execution; noise only ever adds."""
        names = list(self.calls[0]) if self.calls else []
        return {name: min(call.get(name, 0.0) for call in self.calls) for name in names}


class Times:
    """What a profiler was told, call by call."""

    def __init__(self) -> None:
        self.calls: list[dict[str, float]] = []

    def begin(self) -> None:
        """Start a call."""
        self.calls.append({})

    def add(self, name: str, ms: float) -> None:
        """Take notice of a layer; one that runs several times in a call has the sum."""
        call = self.calls[-1]
        call[name] = call.get(name, 0.0) + ms


def profiler_into(times: Times) -> trt.IProfiler:
    """Return a profiler that tells ``times``."""

    class Collector(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)  # pybind11 wants the base by name

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times.add(layer_name, ms)

    return Collector()
