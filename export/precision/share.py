"""How much of a file really computes in fewer bits, counted in the file itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import onnx_ir as ir

from export.precision.files import read_graph
from export.precision.regions import LAYERS, is_constant, label_of

_CONVERSIONS: Final = frozenset({"Cast", "DequantizeLinear", "QuantizeLinear"})

Lowered = Literal["fp16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionReport:
    """Layers of a file and what they compute in.

    Attributes:
        precision: what was asked for.
        nodes: layers in the graph: convolutions and matrix products with constant weights.
        converted: how many of them compute in that precision.
        kept_float: the others, by module, in execution order.
    """

    precision: Lowered
    nodes: int
    converted: int
    kept_float: tuple[str, ...]

    @property
    def share(self) -> float:
        """Converted over all, 0..1; 0 for a graph without layers."""
        return self.converted / self.nodes if self.nodes else 0.0


def precision_report(path: Path, precision: Lowered) -> PrecisionReport:
    """Count the layers of a file that compute in ``precision``.

    Products of two activations, such as those of attention or of box suppression, are no layers. A layer
    counts as fp16 where both factors are of that type, and as int8 where both come out of DequantizeLinear.

    Raises:
        UsageError: the file cannot be read.
    """
    graph = read_graph(path).graph
    working = [n for n in graph if n.op_type in LAYERS and not n.domain and _is_weight(n.inputs[1])]
    converted = _is_half if precision == "fp16" else _is_quantised
    kept = tuple(label_of(node) for node in working if not converted(node))
    return PrecisionReport(
        precision=precision, nodes=len(working), converted=len(working) - len(kept), kept_float=kept
    )


def _is_weight(value: ir.Value | None) -> bool:
    """Say whether a value is constant, or a constant that was converted on its way."""
    maker = value.producer() if value is not None else None
    if maker is not None and maker.op_type in _CONVERSIONS:
        return _is_weight(maker.inputs[0])
    return is_constant(value)


def _is_half(node: ir.Node) -> bool:
    return all(value is not None and value.dtype == ir.DataType.FLOAT16 for value in node.inputs[:2])


def _is_quantised(node: ir.Node) -> bool:
    makers = [value.producer() if value is not None else None for value in node.inputs[:2]]
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)
