"""An exported file as its own nodes: which module each came from, and what its layers are made of.

A module's name comes from the weight of a layer, ``layer1.0.conv1.weight``, and else from the scopes that
PyTorch's exporter leaves on nodes; a batch norm that was folded into a convolution left its own there.
"""

import ast
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import onnx_ir as ir

from bench.profile.runtimes import Shape, Timed
from export.precision.files import read_graph
from export.precision.regions import LAYERS, is_constant

_SCOPES: Final = "pkg.torch.onnx.name_scopes"
_NO_SCOPE: Final = "_empty_nn_module_stack_from_metadata_hook"
"""What the exporter writes where it does not know."""
_FAR: Final = 12
"""Nodes that one of a runtime may have swallowed between a layer and its own end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A convolution or matrix product with a constant weight.

    Attributes:
        operator: ``Conv``, ``ConvTranspose``, ``Gemm`` or ``MatMul``.
        weight: shape of the weight: (out, in / groups, *kernel), (in, out / groups, *kernel) of a
            ``ConvTranspose``, (in, out) of a matrix product.
        groups: of a convolution.
        settings: the node's attributes that are numbers: ``strides``, ``pads`` ...
    """

    operator: str
    weight: Shape
    groups: int = 1
    settings: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def in_channels(self) -> int:
        """Channels, or features, of one input."""
        return self.weight[1] * self.groups if self.operator == "Conv" else self.weight[0]

    @property
    def out_channels(self) -> int:
        """Channels, or features, of the output."""
        return self.weight[1] * self.groups if self.operator == "ConvTranspose" else self._plain_out

    @property
    def _plain_out(self) -> int:
        return self.weight[0] if self.operator == "Conv" else self.weight[1]

    @property
    def depthwise(self) -> bool:
        """Whether every channel has a filter of its own."""
        return self.operator == "Conv" and 1 < self.groups == self.in_channels

    def macs(self, taken: Shape, given: Shape) -> int:
        """Return multiply-adds of one call.

        Args:
            taken: shape of the input, batch first.
            given: shape of the output.
        """
        elements = math.prod(self.weight)
        if self.operator == "Conv":
            return given[0] * math.prod(given[2:]) * elements
        if self.operator == "ConvTranspose":
            return taken[0] * math.prod(taken[2:]) * elements
        return math.prod(given) * self.in_channels  # one may be written as a convolution of 1x1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the model a node belongs.

    Attributes:
        module: path of the module, ``""`` where the file does not tell.
        operator: of the node in the file.
        layer: what it is made of, None where it has no weight.
    """

    module: str
    operator: str
    layer: Layer | None = None


NOWHERE: Final = Place(module="", operator="")


class Graph:
    """The nodes of a file, found by their own names and by those of their outputs."""

    def __init__(self, nodes: Sequence[ir.Node]) -> None:
        self._named: dict[str, ir.Node] = {}
        for node in nodes:
            for name in (node.name, *(value.name for value in node.outputs)):
                self._named.setdefault(name or "", node)
        weights = ((node, _weight(node)) for node in nodes if node.op_type in LAYERS)
        self._weighed = {weight.name or "": node for node, weight in weights if weight is not None}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            UsageError: it cannot be read.
        """
        return cls(list(read_graph(path).graph))

    def place(self, timed: Timed) -> Place:
        """Return where a node of a runtime came from; `NOWHERE` if the file knows none of its names."""
        wanted = _operators(timed.kind)
        for table in (self._named, self._weighed):
            for name in timed.origin:
                found = _back_to(table[name], wanted) if name in table else None
                if found is not None:
                    return _place(found, _layer(found) if wanted else None)
        return NOWHERE

    def makers(self, timed: Timed) -> tuple[str, ...]:
        """Return the modules whose layers made what a node takes: the nearest before it on every way back.

        A layer's own module stands for itself; nothing is returned where the file knows none of its names.
        """
        found = next((self._named[name] for name in timed.origin if name in self._named), None)
        layers = _layers_before(found) if found is not None else ()
        return tuple(dict.fromkeys(filter(None, map(module_of, layers))))


def _layers_before(node: ir.Node) -> list[ir.Node]:
    queue, seen, found = deque([node]), {node}, []
    while queue:
        here = queue.popleft()
        if here.op_type in LAYERS and _weight(here) is not None:
            found.append(here)
            continue
        for before in here.predecessors():
            if before not in seen:
                seen.add(before)
                queue.append(before)
    return found


def _operators(kind: str) -> frozenset[str]:
    """Return the operators of ONNX that a runtime's word may mean; none where it is no layer."""
    if any(word in kind for word in ("ConvTranspose", "Deconvolution", "BackpropData")):
        return frozenset({"ConvTranspose"})
    if "Conv" in kind:
        return frozenset({"Conv"})
    if any(word in kind for word in ("Gemm", "MatMul", "FullyConnected")):
        return frozenset({"Gemm", "MatMul"})
    return frozenset()


def _back_to(node: ir.Node, operators: frozenset[str]) -> ir.Node | None:
    """Return the nearest node of these operators at or before ``node``; of none, the node itself.

    A node that is a layer itself is meant, whatever it is called: TensorRT runs products as convolutions.
    """
    if not operators or (node.op_type in LAYERS and _weight(node) is not None):
        return node
    queue, seen = deque([node]), {node}
    for _ in range(_FAR):
        if not queue:
            return None
        here = queue.popleft()
        if here.op_type in operators:
            return here
        for before in here.predecessors():
            if before not in seen:
                seen.add(before)
                queue.append(before)
    return None


def _place(node: ir.Node, layer: Layer | None) -> Place:
    return Place(module=module_of(node), operator=node.op_type, layer=layer)


def module_of(node: ir.Node) -> str:
    """Return the path of the module that a node came from, ``""`` where nothing tells."""
    weight = _weight(node) if node.op_type in LAYERS else None
    stem, dot, _ = (weight.name or "" if weight is not None else "").partition(".weight")
    if dot:
        return stem
    scopes = _scopes(node.metadata_props.get(_SCOPES, "[]"))
    return scopes[-2] if len(scopes) > 1 and scopes[-2] != _NO_SCOPE else ""


def _scopes(text: str) -> list[str]:
    """Return the modules around a node, outermost first, its own name last; anybody may have written them."""
    try:
        said = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [str(scope) for scope in said] if isinstance(said, list) else []


def _layer(node: ir.Node) -> Layer | None:
    weight = _weight(node) if node.op_type in LAYERS else None
    if weight is None or weight.const_value is None:
        return None
    shape = tuple(int(size) for size in weight.const_value.shape.numpy())
    numbers = {name: _numbers(attribute) for name, attribute in node.attributes.items()}
    groups = (numbers.get("group") or [1])[0]
    if node.op_type == "Gemm" and (numbers.get("transB") or [0])[0]:
        shape = shape[::-1]
    if len(shape) < 2 or groups < 1:
        return None
    settings = {name: found for name, found in numbers.items() if found and name != "group"}
    return Layer(operator=node.op_type, weight=shape, groups=groups, settings=settings)


def _numbers(attribute: ir.Attr) -> list[int]:
    if attribute.type == ir.AttributeType.INT:
        return [attribute.as_int()]
    return list(attribute.as_ints()) if attribute.type == ir.AttributeType.INTS else []


def _weight(node: ir.Node) -> ir.Value | None:
    """Return the constant behind a layer's second input, through conversions of its type."""
    value = node.inputs[1] if len(node.inputs) > 1 else None
    for _ in range(_FAR):
        if value is None or is_constant(value):
            return value
        maker = value.producer()
        value = maker.inputs[0] if maker is not None and maker.inputs and _converts(maker) else None
    return None


def _converts(node: ir.Node) -> bool:
    return node.op_type in {"Cast", "DequantizeLinear", "QuantizeLinear"}
