"""Convolutions whose time tells what a CPU sustains: chains of one shape, run in ONNX Runtime.

In a chain the runtime stays in its own layout, as it does inside a network; of a convolution alone, a tenth
of the time is conversion. Taken is the shortest call, which is the one that nobody disturbed.
"""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from bench.projection.layers import Layer

_CALLS: Final = 8
_ENOUGH_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A chain of equal convolutions with activations, each of ``channels`` to ``channels``.

    Attributes:
        channels: in and out.
        kernel: side of the filter.
        side: of the map.
        groups: 1, or ``channels`` for a depthwise one.
        length: convolutions in the chain.
    """

    channels: int
    kernel: int
    side: int
    groups: int = 1
    length: int = 6

    @property
    def layer(self) -> Layer:
        """One of the convolutions."""
        weights = self.channels * (self.channels // self.groups) * self.kernel**2
        return Layer(
            name=f"{self.channels}x{self.kernel}x{self.kernel} at {self.side}", operation="convolution",
            macs=weights * self.side**2, weights=weights, moved=2 * self.channels * self.side**2,
        )  # fmt: skip


NOTHING: Final = Probe(channels=8, kernel=1, side=2, length=64)
"""So small that its time is the runtime's own."""

PROBES: Final = (
    NOTHING,
    Probe(channels=64, kernel=3, side=56),
    Probe(channels=128, kernel=3, side=28),
    Probe(channels=256, kernel=3, side=14),
    Probe(channels=64, kernel=1, side=56, length=12),
    Probe(channels=256, kernel=1, side=28),
    Probe(channels=512, kernel=1, side=7, length=12),
    Probe(channels=128, kernel=3, side=56, groups=128, length=12),
    Probe(channels=256, kernel=3, side=28, groups=256, length=12),
)


def seconds_per_layer(probe: Probe, threads: int | None) -> float:
    """Return the seconds of one convolution of a chain.

    Args:
        probe: the chain.
        threads: of ONNX Runtime; None leaves the choice to it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        chain(probe).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": np.ones((1, probe.channels, probe.side, probe.side), np.float32)}
    session.run(None, feed)
    shortest_s, end = float("inf"), time.perf_counter() + _ENOUGH_S
    calls = 0
    while calls < _CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feed)
        shortest_s, calls = min(shortest_s, time.perf_counter() - start), calls + 1
    return shortest_s / probe.length


def chain(probe: Probe) -> ModelProto:
    """Return the chain as an ONNX model."""
    generator = np.random.default_rng(0)
    shape = (probe.channels, probe.channels // probe.groups, probe.kernel, probe.kernel)
    fan_in = shape[1] * probe.kernel**2
    nodes, weights = [], []
    for number in range(probe.length):
        values = generator.standard_normal(shape, dtype=np.float32) * (2 / fan_in) ** 0.5
        weights.append(numpy_helper.from_array(values, f"w{number}"))
        nodes += _convolution(probe, number)
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, probe.channels, probe.side, probe.side])
        for name in ("x", f"y{probe.length - 1}")
    ]
    graph = helper.make_graph(nodes, "probe", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _convolution(probe: Probe, number: int) -> list[NodeProto]:
    pad, before = probe.kernel // 2, f"y{number - 1}" if number else "x"
    return [
        helper.make_node("Conv", [before, f"w{number}"], [f"c{number}"], group=probe.groups, pads=[pad] * 4),
        helper.make_node("Relu", [f"c{number}"], [f"y{number}"]),
    ]
