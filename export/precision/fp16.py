"""Half precision inside the graph, single precision at its borders.

Layers and what lies between them (`export.precision.regions`) take and give FLOAT16; a Cast stands wherever a
value crosses into or out of that region. Inputs, outputs and everything around the region stay FLOAT. Types
are therefore explicit at every operator, which TensorRT 11 requires and every other runtime accepts.

A weight that half precision cannot hold (above 65504) leaves its operator in single precision.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir

from export.onnx_files import require_free, write_onnx
from export.precision.files import PRECISION, read_graph
from export.precision.regions import CARRIERS, Nodes, between, carriers_of, is_constant, layers_of, matching
from export.precision.share import PrecisionReport, precision_report

_LARGEST: Final = float(np.finfo(np.float16).max)
_FIRST_INPUT_ONLY: Final = frozenset({"Resize"})  # its scales and region of interest are FLOAT by definition


def to_fp16(source: Path, target: Path, *, keep: Sequence[str] = ()) -> PrecisionReport:
    """Write ``source`` with its layers in half precision to ``target``; inputs and outputs stay fp32.

    Args:
        source: an fp32 ONNX file.
        target: the file to write.
        keep: glob patterns of modules that stay fp32, for instance ``head.*``.

    Raises:
        UsageError: ``source`` cannot be read, or ``target`` exists.
        CompressError: the result does not pass the ONNX checker.
    """
    require_free(target)
    model = read_graph(source)
    halve(model.graph, region(model.graph, keep))
    model.metadata_props[PRECISION] = "fp16"
    write_onnx(model, target)
    return precision_report(target, "fp16")


def region(graph: ir.Graph, keep: Sequence[str]) -> Nodes:
    """Return the nodes to halve: layers that half precision can hold, and what lies between them."""
    layers = [node for node in layers_of(graph) if _fits(node)]
    chosen = frozenset(layers) - matching(layers, keep)
    return between(graph, chosen, frozenset(n for n in carriers_of(graph, CARRIERS) if _fits(n)))


def halve(graph: ir.Graph, nodes: Nodes) -> None:
    """Turn ``nodes``, which lie in ``graph``, to FLOAT16, with casts around them."""
    casts, inside = _Casts(graph), [node for node in graph if node in nodes]
    for node in inside:
        _halve_inputs(node, casts)
        for value in _of_type(node.outputs, ir.DataType.FLOAT):
            value.dtype = ir.DataType.FLOAT16
    for node in inside:
        for value in _of_type(node.outputs, ir.DataType.FLOAT16):
            casts.widen(value, nodes)
    casts.settle_names()


class _Casts:
    """Casts and halved weights, each made once per value."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._narrow: dict[ir.Value, ir.Value] = {}

    def narrow(self, value: ir.Value) -> ir.Value:
        """Return a FLOAT16 twin of a FLOAT value from outside the region."""
        if value not in self._narrow:
            self._narrow[value] = self._halved(value) if is_constant(value) else self._cast_down(value)
        return self._narrow[value]

    def widen(self, value: ir.Value, nodes: Nodes) -> None:
        """Give everyone outside the region a FLOAT twin of a FLOAT16 value."""
        outside = [(user, index) for user, index in value.uses() if user not in nodes]
        if not outside and not value.is_graph_output():
            return
        wide = _cast(value, ir.DataType.FLOAT, f"{value.name}.fp32")
        maker, cast = value.producer(), wide.producer()
        assert maker is not None
        assert cast is not None
        self._graph.insert_after(maker, cast)
        for user, index in outside:
            user.replace_input_with(index, wide)
        if value.is_graph_output():
            self._take_output(value, wide)

    def settle_names(self) -> None:
        """Drop weights that only had halved readers, and give their names to the halves."""
        for value, half in self._narrow.items():
            if value.is_initializer() and not value.uses():
                name = str(value.name)
                for known in (name, str(half.name)):
                    self._graph.initializers.pop(known)
                half.name = name
                self._graph.register_initializer(half)

    def _take_output(self, value: ir.Value, wide: ir.Value) -> None:
        name, place = value.name, list(self._graph.outputs).index(value)
        value.name = f"{name}.fp16"
        wide.name = name
        self._graph.outputs[place] = wide

    def _halved(self, value: ir.Value) -> ir.Value:
        assert value.const_value is not None
        array = value.const_value.numpy().astype(np.float16)
        half = ir.Value(
            name=f"{value.name}.fp16", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT16),
            const_value=ir.tensor(array, name=f"{value.name}.fp16"),
        )  # fmt: skip
        self._graph.register_initializer(half)
        return half

    def _cast_down(self, value: ir.Value) -> ir.Value:
        half = _cast(value, ir.DataType.FLOAT16, f"{value.name}.fp16")
        cast, maker = half.producer(), value.producer()
        assert cast is not None
        if maker is None:
            self._graph.insert_before(self._graph[0], cast)
        else:
            self._graph.insert_after(maker, cast)
        return half


def _halve_inputs(node: ir.Node, casts: _Casts) -> None:
    for index, value in enumerate(node.inputs):
        if value is not None and value.dtype == ir.DataType.FLOAT and _is_activation(node, index):
            node.replace_input_with(index, casts.narrow(value))


def _of_type(values: Iterable[ir.Value], kind: ir.DataType) -> list[ir.Value]:
    return [value for value in values if value.dtype == kind]


def _cast(value: ir.Value, kind: ir.DataType, name: str) -> ir.Value:
    node = ir.node("Cast", [value], {"to": int(kind)}, name=f"cast_{name}")
    out = node.outputs[0]
    out.name, out.shape, out.type = name, value.shape, ir.TensorType(kind)
    return out


def _is_activation(node: ir.Node, index: int) -> bool:
    return index == 0 or node.op_type not in _FIRST_INPUT_ONLY


def _fits(node: ir.Node) -> bool:
    return all(_holds(value) for i, value in enumerate(node.inputs) if _is_activation(node, i))


def _holds(value: ir.Value | None) -> bool:
    if value is None or value.const_value is None or value.dtype != ir.DataType.FLOAT:
        return True
    array = value.const_value.numpy()
    finite = array[np.isfinite(array)]
    return float(np.abs(finite).max(initial=0.0)) <= _LARGEST
