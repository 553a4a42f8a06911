"""Inner values of a graph that can be looked at: they have names, and are no outputs.

A module that can be `Tapped` is exported with its inner values as outputs, so that the exporter keeps them
and names them; the outputs are then taken back and the names stay. To compare a file stage by stage, a copy
of it gives them out again; the file itself computes what it would without.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, runtime_checkable

import onnx
import onnx_ir
from torch import nn

from detection.stages import TAP


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


def write_tapped(source: Path, target: Path) -> frozenset[str]:
    """Write a copy of ``source`` that returns its inner values too, and return their names without `TAP`."""
    model = onnx.load(source)
    names = [name for node in model.graph.node for name in node.output if name.startswith(TAP)]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    onnx.save(model, target)
    return frozenset(name.removeprefix(TAP) for name in names)
