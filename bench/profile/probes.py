"""Layers measured by themselves, on the same runtime: what a width would cost, and what this machine can do.

All layers to try stand side by side in one file, each fed by an input of its own, and only the time of the
layer's node counts. So the conversion of its input is not part of it, and a disturbance does not hit one
layer alone. Sums of such times were within a few per cent of whole networks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.profile.graph import Layer
from bench.profile.runtimes import REORDERS, Profiler, Sampling, Shape, Timed
from compressor.base.files import scratch

_OPSET: Final = 18
_IR_VERSION: Final = 8
_CALLS: Final = 15
_MOST_BYTES: Final = 2**30
"""Weights and inputs of one file of probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A convolution with the activation that follows it.

    Attributes:
        layer: shape of its weight and its settings.
        taken: shape of its input (batch, channels, *spatial).
    """

    layer: Layer
    taken: Shape

    @property
    def key(self) -> tuple[object, ...]:
        """What two trials share that cost the same."""
        settings = tuple(sorted((name, tuple(sizes)) for name, sizes in self.layer.settings.items()))
        return self.layer.weight, self.layer.groups, settings, self.taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The most that this machine does on one runtime and so many threads.

    Attributes:
        macs_per_ms: of a large convolution with widths that suit it.
        bytes_per_ms: read and written by an activation on a tensor that no cache holds.
    """

    macs_per_ms: float
    bytes_per_ms: float


@dataclass(frozen=True)
class Probes:
    """Measures layers on a runtime; ceilings are measured once.

    Attributes:
        profiler: of the runtime.
        threads: of the runtime.
    """

    profiler: Profiler
    threads: int | None

    def convolutions(self, trials: Sequence[Trial]) -> tuple[float, ...] | None:
        """Return milliseconds, equal ones measured once; None where they are none or too large to try."""
        kinds = list({trial.key: trial for trial in trials}.values())
        if not kinds or sum(map(_bytes, kinds)) > _MOST_BYTES:
            return None
        timed = self._timed(_convolutions(kinds), {f"x{n}": kind.taken for n, kind in enumerate(kinds)})
        ms = {kind.key: _ms_of(timed, number) for number, kind in enumerate(kinds)}
        return tuple(ms[trial.key] for trial in trials)

    @cached_property
    def ceilings(self) -> Ceilings:
        """What this machine can do at most."""
        wide = Trial(layer=Layer(operator="Conv", weight=(256, 256, 3, 3)), taken=(1, 256, 28, 28))
        measured = self.convolutions([wide])
        assert measured is not None
        large = (1, 16, 1024, 1024)
        relu = helper.make_node("Relu", ["x0"], ["y0"], "relu")
        timed = self._timed(_model([relu], {"x0": large}, ["y0"], []), {"x0": large})
        macs = wide.layer.macs(wide.taken, (1, 256, 26, 26))
        ms = min(one.ms for one in timed if "y0" in one.origin or one.kind == "Relu")
        return Ceilings(macs_per_ms=macs / measured[0], bytes_per_ms=2 * 4 * math.prod(large) / ms)

    def _timed(self, model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> tuple[Timed, ...]:
        feed = {name: np.full(shape, 0.1, np.float32) for name, shape in shapes.items()}
        with scratch() as folder:
            path = Path(folder) / "probes.onnx"
            onnx.save(model, path)
            return self.profiler.nodes(path, feed, Sampling(threads=self.threads, calls=_CALLS))


def _ms_of(timed: Sequence[Timed], number: int) -> float:
    """Return the time of a convolution: its activation is fused into it, and what converts it is not it."""
    own = {f"c{number}", f"y{number}", f"z{number}"}
    return sum(one.ms for one in timed if own & set(one.origin) and not one.kind.startswith(REORDERS))


def _convolutions(trials: Sequence[Trial]) -> onnx.ModelProto:
    nodes, weights = [], []
    for number, trial in enumerate(trials):
        layer = trial.layer
        weights += [_constant(f"w{number}", layer.weight), _constant(f"b{number}", (layer.out_channels,))]
        settings: dict[str, Any] = {name: list(sizes) for name, sizes in layer.settings.items()}
        ports = [f"x{number}", f"w{number}", f"b{number}"]
        nodes += [
            helper.make_node("Conv", ports, [f"y{number}"], f"c{number}", group=layer.groups, **settings),
            helper.make_node("Relu", [f"y{number}"], [f"z{number}"]),
        ]
    inputs = {f"x{number}": trial.taken for number, trial in enumerate(trials)}
    return _model(nodes, inputs, [f"z{number}" for number in range(len(trials))], weights)


def _model(
    nodes: list[onnx.NodeProto], inputs: Mapping[str, Shape], outputs: Sequence[str],
    weights: list[onnx.TensorProto],
) -> onnx.ModelProto:  # fmt: skip
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs]
    graph = helper.make_graph(nodes, "probes", ports, ends, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def _constant(name: str, shape: Shape) -> onnx.TensorProto:
    return numpy_helper.from_array(np.full(shape, 0.01, np.float32), name)


def _bytes(trial: Trial) -> int:
    return 4 * (math.prod(trial.layer.weight) + math.prod(trial.taken))
