"""Inner values of a graph that can be looked at: they have names, and are no outputs.

A module that can be `Tapped` is exported with its inner values as outputs, so that the exporter keeps them
and names them; the outputs are then taken back and the names stay. To compare a file stage by stage, a copy
of it gives them out again; the file itself computes what it would without.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, runtime_checkable

import onnx
import onnx_ir
from torch import nn

from detection.stages import TAP
from export.onnx_reader import read_onnx


@runtime_checkable
class Tapped(Protocol):
    """A module that can return its inner values too, under names that begin with `TAP`."""

    def tapped(self) -> AbstractContextManager[None]:
        """Return them while the block lasts."""


def tapping(model: nn.Module) -> AbstractContextManager[None]:
    """Let ``model`` return its inner values while the block lasts, where it can."""
    return model.tapped() if isinstance(model, Tapped) else nullcontext()


def hide_taps(graph: onnx_ir.Graph) -> None:
    """Take inner values back from the outputs of ``graph``; they keep their names."""
    for position in reversed(range(len(graph.outputs))):
        if str(graph.outputs[position].name).startswith(TAP):
            del graph.outputs[position]


def tapped_names(file: Path) -> frozenset[str]:
    """Return the names of values that begin with `TAP`, without it: inner values and what is made of them."""
    graph = read_onnx(file).graph
    made = (name for node in graph.node for name in node.output)
    return frozenset(name.removeprefix(TAP) for name in made if name.startswith(TAP))


def write_tapped(source: Path, target: Path, inner: Iterable[str]) -> Path:
    """Write a copy of ``source`` that returns its ``inner`` values too, and return where.

    A value that is quantised on its way is returned as everyone behind it sees it.
    """
    model = onnx.load(source)
    seen = _quantised(model.graph)
    for name in (f"{TAP}{name}" for name in inner):
        if name in seen:
            _rename(model.graph, name, f"{name}.exact")
            _rename(model.graph, seen[name], name)
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    onnx.save(model, target)
    return target


def _quantised(graph: onnx.GraphProto) -> dict[str, str]:
    """Return values that only a quantiser reads, with the name under which they come back."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {}
    for name, users in readers.items():
        if [user.op_type for user in users] == ["QuantizeLinear"]:
            after = readers.get(users[0].output[0], [])
            if [user.op_type for user in after] == ["DequantizeLinear"]:
                found[name] = after[0].output[0]
    return found


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
