"""Which part of a graph is the network proper, and may be computed in fewer bits?

No names are needed to tell a backbone from what surrounds it. *Layers* are convolutions and matrix products
with constant weights. Around and between them lie operators that only carry, combine or squash activations.
An operator is *between* layers if, going only through such operators, a layer lies before it and a layer lies
after it. Input normalisation, score thresholds, box decoding, suppression and ranking have a layer on one
side at most, so they keep their precision; what sits between two layers would be rounded anyway.
"""

import ast
import fnmatch
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import onnx_ir as ir

from compressor.base.errors import UsageError

Nodes = frozenset[ir.Node]

LAYERS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that do the work; those with a constant weight are the layers."""

CARRIERS: Final = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Div", "Dropout", "Elu", "Erf",
        "Expand", "Flatten", "Gather", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid",
        "HardSwish", "Identity", "LeakyRelu", "Max", "MaxPool", "Min", "Mish", "Mul", "PRelu", "Pad",
        "ReduceMean", "Relu", "Reshape", "Resize", "Selu", "Sigmoid", "Slice", "Split", "Squeeze", "Sub",
        "Tanh", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that carry activations from layer to layer."""

_SCOPES = "pkg.torch.onnx.name_scopes"


def layers_of(graph: ir.Graph) -> tuple[ir.Node, ...]:
    """Return the convolutions and matrix products with constant weights, in execution order."""
    return tuple(node for node in graph if _is_layer(node))


def between(graph: ir.Graph, layers: Collection[ir.Node], carriers: Nodes) -> Nodes:
    """Return ``layers`` and every carrier with one of them before it and one after it."""
    after = _reached(reversed(graph), layers, carriers, ir.Node.successors)
    before = _reached(graph, layers, carriers, ir.Node.predecessors)
    return frozenset(layers) | (before & after)


def carriers_of(graph: ir.Graph, operators: Collection[str]) -> Nodes:
    """Return the nodes of the given operators of ONNX itself."""
    return frozenset(node for node in graph if node.op_type in operators and not node.domain)


def ends(graph: ir.Graph, layers: Sequence[ir.Node]) -> Nodes:
    """Return the layers that no other layer feeds, and those that feed no other, through any operators."""
    everything = frozenset(graph)
    first = set(layers) - _reached(graph, layers, everything, ir.Node.predecessors)
    last = set(layers) - _reached(reversed(graph), layers, everything, ir.Node.successors)
    return frozenset(first | last)


def matching(layers: Iterable[ir.Node], patterns: Collection[str]) -> Nodes:
    """Return the layers whose label fits a glob pattern.

    Raises:
        UsageError: a pattern fits none.
    """
    labels = {node: label_of(node) for node in layers}
    for pattern in patterns:
        if not fnmatch.filter(labels.values(), pattern):
            some = ", ".join(list(labels.values())[:3])
            raise UsageError(f"no layer is called {pattern!r}", f"layers are called {some} ...")
    return frozenset(n for n, label in labels.items() if any(fnmatch.fnmatchcase(label, p) for p in patterns))


def label_of(node: ir.Node) -> str:
    """Return the module that a layer came from: by its weight, else by its scope, else the node's name."""
    weight = node.inputs[1].name if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if weight and weight.endswith(".weight"):
        return weight.removesuffix(".weight")
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 and scopes[-2] else str(node.name)


def is_constant(value: ir.Value | None) -> bool:
    """Say whether a value is known before the model runs."""
    return value is not None and value.const_value is not None and not value.is_graph_input()


def _is_layer(node: ir.Node) -> bool:
    return node.op_type in LAYERS and not node.domain and is_constant(node.inputs[1])


def _reached(
    nodes: Iterable[ir.Node],
    layers: Collection[ir.Node],
    carriers: Nodes,
    neighbours: Callable[[ir.Node], Sequence[ir.Node]],
) -> set[ir.Node]:
    """Return nodes that a layer reaches through carriers; ``nodes`` come with their neighbours first."""
    sources, reached = set(layers), set[ir.Node]()
    for node in nodes:
        for neighbour in neighbours(node):
            if neighbour in sources or (neighbour in carriers and neighbour in reached):
                reached.add(node)
                break
    return reached & (carriers | sources)
