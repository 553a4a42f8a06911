"""Nodes of a runtime with their place in the model: module, channels, multiply-adds, bytes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.profile.graph import Graph, Layer, Place
from bench.profile.runtimes import REORDERS, Shape, Timed

_BYTES: Final = {"fp64": 8, "fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
_IMAGE: Final = 4
"""Axes of activations that have channels: batch, channels, height, width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as it ran, and where it came from.

    Attributes:
        name: as the runtime calls it.
        kind: operator, in the runtime's own words.
        module: path of the module, ``""`` where nobody knows.
        ms: smallest time.
        share: of the time of all nodes.
        precision: what it computed in.
        macs: multiply-adds of a layer; None of anything else, or where shapes are not known.
        in_channels: of its input, None where it has none.
        out_channels: of its output, likewise.
        bytes: that it reads and writes, None where shapes are not known.
        blocked: whether it worked on channels in blocks.
        layer: what it is made of, None where it has no weight.
        inputs: shapes that it took.
    """

    name: str
    kind: str
    module: str
    ms: float
    share: float
    precision: str
    macs: int | None = None
    in_channels: int | None = None
    out_channels: int | None = None
    bytes: int | None = None
    blocked: bool = False
    layer: Layer | None = None
    inputs: tuple[Shape, ...] = ()

    @property
    def reorders(self) -> bool:
        """Whether all it does is to arrange memory anew."""
        return self.kind.startswith(REORDERS)


def placed(timed: Sequence[Timed], graph: Graph) -> tuple[Node, ...]:
    """Return a runtime's nodes with their places in the file that it ran."""
    total_ms = sum(one.ms for one in timed)
    return tuple(_node(one, graph.place(one), total_ms) for one in timed)


def _node(timed: Timed, place: Place, total_ms: float) -> Node:
    layer = place.layer
    return Node(
        name=timed.name,
        kind=timed.kind,
        module=place.module,
        ms=timed.ms,
        share=timed.ms / total_ms if total_ms else 0.0,
        precision=timed.precision,
        macs=_macs(timed, layer) if layer else None,
        in_channels=layer.in_channels if layer else _channels(timed.inputs),
        out_channels=layer.out_channels if layer else _channels(timed.outputs),
        bytes=_moved(timed),
        blocked=timed.blocked,
        layer=layer,
        inputs=timed.inputs,
    )


def _macs(timed: Timed, layer: Layer) -> int | None:
    if not timed.inputs or not timed.outputs or len(timed.outputs[0]) < 2:
        return None
    taken, given = timed.inputs[0], timed.outputs[0]
    return layer.macs(_channels_first(taken, layer.in_channels), _channels_first(given, layer.out_channels))


def _channels_first(shape: Shape, channels: int) -> Shape:
    """Return a shape with its channels in front; kernels for 8 bits take them last."""
    last = len(shape) == _IMAGE and shape[-1] == channels and shape[1] != channels
    return (shape[0], shape[-1], *shape[1:-1]) if last else shape


def _channels(shapes: Iterable[Shape]) -> int | None:
    first = next(iter(shapes), ())
    return first[1] if len(first) == _IMAGE else None


def _moved(timed: Timed) -> int | None:
    if not timed.outputs:
        return None
    elements = sum(math.prod(shape) for shape in (*timed.inputs, *timed.outputs))
    return elements * _BYTES.get(timed.precision, 4)
