"""What a network computes and moves, layer by layer, seen in one run below autograd.

Counted is what a runtime executes after the fusions that all of them do. Norms and activations are computed
where the layer before them writes, so that they cost nothing. A sum of two activations is computed where the
later of them is written: it costs one more read. Views cost nothing. Every other operation (pools,
concatenation, softmax, products of activations) reads its inputs and writes its outputs.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from compressor.base.errors import UsageError
from compressor.base.modes import evaluation, unfused_attention
from compressor.channels.call import Call
from compressor.channels.dispatch import Calls, modules_told

ASSUMED: Final = (
    "norms and activations are fused into the layer before them, sums of two activations into the later one",
    "weights are read once per call, activations are read and written once per layer",
)
"""What a reader of figures that rest on these layers has to know."""

_FUSED: Final = frozenset(
    f"aten.{name}"
    for name in (
        "relu", "hardtanh", "clamp", "clamp_min", "sigmoid", "hardsigmoid", "silu", "hardswish", "leaky_relu",
        "elu", "gelu", "mish", "tanh", "add", "sub", "mul", "div", "native_batch_norm", "cudnn_batch_norm",
        "_native_batch_norm_legit_no_training", "batch_norm", "dropout", "native_dropout",
    )
)  # fmt: skip
_SUMS: Final = ("aten.add", "aten.sub")

_UNCOVERED: Final = frozenset(
    {
        "torchvision.roi_align", "torchvision.nms", "torchvision.deform_conv2d", "aten.topk", "aten.sort",
        "aten.nonzero", "aten.masked_select", "aten.unique_dim", "aten._unique2",
    }
)  # fmt: skip
"""Operations whose time follows neither from multiply-adds nor from bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One kernel, for one image.

    Attributes:
        name: path of the module that runs it.
        operation: as PyTorch calls it, ``convolution``.
        macs: multiply-adds.
        weights: elements that are read once per call, whatever the batch.
        moved: elements of activations that are read and written.
    """

    name: str
    operation: str
    macs: int
    weights: int
    moved: int

    def flops(self, batch: int) -> int:
        """Return floating-point operations of a call, two per multiply-add."""
        return 2 * self.macs * batch

    def elements(self, batch: int) -> int:
        """Return elements that a call reads and writes."""
        return self.weights + self.moved * batch


def layers_of(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[Layer, ...]:
    """Run a model once and return its layers in the order in which they ran.

    Args:
        model: any module that runs; it is not changed.
        inputs: positional arguments of ``forward``, each (1, ...).

    Raises:
        UsageError: it runs an operation that a projection does not cover.
    """
    ledger = _Ledger(model)
    with ExitStack() as stack:
        stack.enter_context(evaluation(model))
        stack.enter_context(unfused_attention())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # products that can be counted
        stack.enter_context(torch.no_grad())
        stack.enter_context(modules_told(ledger.entering, ledger.leaving))
        stack.enter_context(Calls(ledger.see))
        model(*inputs)
    return tuple(ledger.layers)


class _Ledger:
    """The layers so far, and which of them made which activation."""

    def __init__(self, model: nn.Module) -> None:
        self.layers: list[Layer] = []
        self.running: list[str] = []
        self._paths = {id(module): path for path, module in model.named_modules()}
        tensors = [*model.parameters(), *model.buffers()]
        self._stored = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        self._made_by: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def entering(self, module: nn.Module, args: object) -> None:
        """Note that a module begins to run."""
        self.running.append(self._paths.get(id(module), type(module).__name__))

    def leaving(self, module: nn.Module, args: object, out: object) -> None:
        """Note that a module ends."""
        self.running.pop()

    def see(self, call: Call) -> None:
        """Note an operation that ran."""
        if call.name in _UNCOVERED:
            raise _uncovered(call.name, self.running)
        read = [tensor for tensor in call.tensors if not self._is_weight(tensor)]
        macs = _macs(call)
        if not read or all(self._is_weight(out) for out in call.outputs):
            return
        if macs:
            self._add(call, read, macs)
        elif call.name.removesuffix("_") in _FUSED:
            self._fuse(call, read)
        elif _is_view(call):
            self._pass_on(call, self._maker(read[0]))
        else:
            self._add(call, read, 0)

    def _fuse(self, call: Call, read: Sequence[Tensor]) -> None:
        """Let the layer that wrote the last operand compute this, too, where a kernel could."""
        out = call.first_output
        maker = max((self._maker(tensor) for tensor in read), default=-1)
        alike = all(tensor.shape == out.shape for tensor in read)
        if maker < 0 or not alike or (len(read) > 1 and call.name.removesuffix("_") not in _SUMS):
            self._add(call, read, 0)
            return
        others = sum(tensor.numel() for tensor in read) - out.numel()
        layer = self.layers[maker]
        self.layers[maker] = replace(layer, moved=layer.moved + others)
        self._pass_on(call, maker)

    def _add(self, call: Call, read: Sequence[Tensor], macs: int) -> None:
        weights = sum(tensor.numel() for tensor in call.tensors if self._is_weight(tensor))
        written = [out for out in call.outputs if out.is_floating_point()]  # a pool's indices are not needed
        moved = sum(tensor.numel() for tensor in (*read, *written))
        name = self.running[-1] if self.running else ""
        operation = call.name.partition(".")[2]
        layer = Layer(name=name, operation=operation, macs=macs, weights=weights, moved=moved)
        self.layers.append(layer)
        self._pass_on(call, len(self.layers) - 1)

    def _pass_on(self, call: Call, maker: int) -> None:
        for out in call.outputs:
            self._made_by[out] = maker

    def _maker(self, tensor: Tensor) -> int:
        """Return the number of the layer that wrote an activation, -1 for inputs."""
        maker: int = self._made_by.get(tensor, -1)
        return maker

    def _is_weight(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._stored


def _macs(call: Call) -> int:
    count = flop_registry.get(call.func.overloadpacket)
    return int(count(*call.positional, **call.keyword, out_val=call.output)) // 2 if count else 0


def _is_view(call: Call) -> bool:
    """Say whether the result lies where an operand lies."""
    stored = {tensor.untyped_storage().data_ptr() for tensor in call.tensors}
    return all(out.untyped_storage().data_ptr() in stored for out in call.outputs)


def _uncovered(operation: str, running: Sequence[str]) -> UsageError:
    where = running[-1] if running and running[-1] else "the model itself"
    return UsageError(
        f"a projection does not cover {operation} at {where}: its time follows neither from multiply-adds "
        "nor from bytes",
        "measure it on the device instead: compress bench MODEL, without --project.",
    )
