"""OpenVINO's performance counters, on the CPU.

The compiled graph says which nodes of the file each of its own was made of, and in what it computes.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.profile.runtimes import PROFILERS, Array, Sampling, Shape, Timed
from export.backends import BACKENDS, SessionOptions, require_device
from export.backends.openvino import OpenVinoSession, compiled
from export.ports import Ports

_TYPES: Final = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8", "f64": "fp64"}


class OpenVinoProfiler:
    """Times the nodes of ``.onnx`` files."""

    device = "cpu"

    def multiple(self, precision: str) -> int:
        """Return 1: widths from 7 to 32 all ran channels last, without a step in time."""
        return 1

    def nodes(self, model: Path, feed: Mapping[str, Array], sampling: Sampling) -> tuple[Timed, ...]:
        """Run a file; see `bench.profile.runtimes.Profiler.nodes`."""
        require_device(BACKENDS.get("openvino"), "cpu")
        network = compiled(model, SessionOptions(threads=sampling.threads), counters=True)
        with OpenVinoSession(network, Ports.read(model)) as session:
            session.run(feed)
            ms: defaultdict[str, list[float]] = defaultdict(list)
            kinds: dict[str, str] = {}
            for call in range(sampling.calls):
                session.run(feed)
                sampling.progress(call + 1, sampling.calls)
                for name, kind, spent_ms in session.counters():
                    ms[name].append(spent_ms)
                    kinds.setdefault(name, kind)
        known = {op.get_friendly_name(): op for op in network.get_runtime_model().get_ordered_ops()}
        return tuple(_timed(name, kinds[name], min(ms[name]), known.get(name)) for name in kinds)


PROFILERS.register("openvino")(OpenVinoProfiler())


def _timed(name: str, kind: str, ms: float, operation: Any) -> Timed:
    about = {} if operation is None else {key: str(said) for key, said in _said(operation).items()}
    precision = about.get("runtimePrecision", "")
    return Timed(
        name=name,
        kind=kind,
        ms=ms,
        precision=_TYPES.get(precision, precision),
        origin=(name, *filter(None, about.get("originalLayersNames", "").split(","))),
        inputs=_shapes([] if operation is None else operation.inputs()),
        outputs=_shapes([] if operation is None else operation.outputs()),
    )


def _said(operation: Any) -> dict[str, Any]:
    return {key: getattr(said, "value", said) for key, said in operation.get_rt_info().items()}


def _shapes(ports: list[Any]) -> tuple[Shape, ...]:
    """Return the shapes of ports, none where one is open."""
    shapes = [port.get_partial_shape() for port in ports]
    return tuple(tuple(shape.to_shape()) for shape in shapes) if all(s.is_static for s in shapes) else ()
