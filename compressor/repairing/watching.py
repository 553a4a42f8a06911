"""Follow what becomes of a layer's output: norm, addition, ReLU.

A layer is repaired for what the network makes of it. Where a norm and an addition follow, the sum is what
has to be right, and the layer makes up for what the other summand lacks; where a ReLU follows, values that it
cuts off need not be right. The *tail* of a layer is the last of these values before the ReLU.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Final

import torch
from torch import Tensor, nn

from compressor.channels.call import Call as Operation
from compressor.channels.dispatch import Calls

Bounds = tuple[float, float]
EVERYTHING: Final[Bounds] = (-math.inf, math.inf)
_ATEN: Final = torch.ops.aten

Layer = nn.Conv1d | nn.Conv2d | nn.Linear


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows a layer.

    Attributes:
        norm: name of the norm that takes its output, or None.
        added: whether the tail is a sum, to which the layer adds last.
        bounds: what an activation after the tail lets through.
    """

    norm: str | None = None
    added: bool = False
    bounds: Bounds = EVERYTHING

    @property
    def stage(self) -> str:
        """What makes the tail: ``layer``, ``norm`` or ``sum``."""
        return "sum" if self.added else "layer" if self.norm is None else "norm"


@dataclass(slots=True)
class Call:
    """One run of a layer.

    Attributes:
        layer: its name.
        inputs: what it read.
        output: the tensor that was made of it last.
        tail: as far as it was seen.
        at: when ``output`` was made, counted in events.
        rows: positions of all images of the batch, that is rows that this run could give to a fit.
    """

    layer: str
    inputs: Tensor
    output: Tensor
    tail: Tail
    at: int
    order: int
    rows: int


Arrive = Callable[[Call], None]


class Watcher:
    """What one pass has seen.

    Args:
        tails: known tails, of the layers that matter; ``arrive`` is called at each. None learns all tails.
        arrive: called with every run of a layer that came to its tail.
    """

    def __init__(self, tails: dict[str, Tail] | None, arrive: Arrive) -> None:
        self.calls: list[Call] = []
        self.held = 0
        self._tails = tails
        self._arrive = arrive
        self._made: dict[int, Call] = {}
        self._events = 0

    def layer(self, name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        """See a layer run."""
        if self._tails is not None and name not in self._tails:
            return
        self._events += 1
        rows = output.numel() // max(1, _width(module, output))
        call = Call(name, inputs, output, Tail(), self._events, self._events, rows)
        self._step(call, call.tail, output)

    def norm(self, name: str, inputs: Tensor, output: Tensor) -> None:
        """See a norm run."""
        call = self._made.pop(id(inputs), None)
        if call is not None and call.tail == Tail():
            self._step(call, Tail(norm=name), output)

    def operation(self, seen: Operation) -> None:
        """See an operation."""
        self._events += 1
        packet, args, out = seen.func.overloadpacket, seen.positional, seen.output
        if packet in (_ATEN.add, _ATEN.add_) and _alike(args) and isinstance(out, Tensor):
            found = [self._made.pop(id(value), None) for value in args[:2]]
            calls = [call for call in found if call is not None]
            last = max(calls, key=lambda call: call.order, default=None)
            if last is not None and not last.tail.added:
                self._step(last, Tail(last.tail.norm, added=True), out)
        elif self._tails is None and args and id(args[0]) in self._made:
            bounds = _bounds(packet, args)
            if bounds != EVERYTHING:
                call = self._made.pop(id(args[0]))
                call.tail = Tail(call.tail.norm, call.tail.added, bounds)

    def _step(self, call: Call, tail: Tail, output: Tensor) -> None:
        call.tail, call.output, call.at = tail, output, self._events
        if self._tails is None:
            if tail == Tail():
                self.calls.append(call)
            self._made[id(output)] = call
            return
        wanted = self._tails[call.layer]
        if tail.stage == wanted.stage:
            self._arrive(call)
        else:
            self._made[id(output)] = call


def _width(module: nn.Module, output: Tensor) -> int:
    return output.shape[-1] if isinstance(module, nn.Linear) else output.shape[1]


def _alike(args: tuple[object, ...]) -> bool:
    one, other = (*args, None, None)[:2]
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape


def _bounds(packet: object, args: tuple[object, ...]) -> Bounds:
    if packet in (_ATEN.relu, _ATEN.relu_):
        return 0.0, math.inf
    if packet in (_ATEN.hardtanh, _ATEN.hardtanh_):
        low, high = args[1:3] if len(args) > 2 else (-1.0, 1.0)
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        return float(low), float(high)
    return EVERYTHING


class Watched:
    """A model whose layers and norms tell the watcher of the thread that runs them."""

    def __init__(self, view: nn.Module) -> None:
        self._view = view
        self._watchers: dict[int, Watcher] = {}

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Tell watchers, until the block ends."""
        with ExitStack() as stack:
            for name, module in self._view.named_modules():
                if isinstance(module, Layer):
                    stack.enter_context(module.register_forward_hook(self._layer_hook(name)))
                elif normalises(module):
                    stack.enter_context(module.register_forward_hook(self._norm_hook(name)))
            yield

    def run(self, watcher: Watcher, work: Callable[[], object]) -> None:
        """Run ``work`` on this thread, without gradients, and tell ``watcher``."""
        self._watchers[get_ident()] = watcher
        try:
            with torch.no_grad(), Calls(watcher.operation):
                work()
        finally:
            del self._watchers[get_ident()]

    def _layer_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            watcher = self._watchers.get(get_ident())
            if watcher and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
                watcher.layer(name, module, args[0], output)

        return hook

    def _norm_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            watcher = self._watchers.get(get_ident())
            if watcher and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
                watcher.norm(name, args[0], output)

        return hook


def normalises(module: nn.Module) -> bool:
    """Say whether a module scales and shifts every channel by fixed statistics."""
    mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
    return isinstance(mean, Tensor) and isinstance(var, Tensor) and mean.ndim == 1


def scale_of(norm: nn.Module) -> Tensor:
    """Return what a norm multiplies each channel by."""
    var, weight = norm.running_var, getattr(norm, "weight", None)
    assert isinstance(var, Tensor)
    scale = torch.rsqrt(var + float(getattr(norm, "eps", 0.0)))
    return (scale * weight if isinstance(weight, Tensor) else scale).detach()
