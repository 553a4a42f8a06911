"""Run a model once under a dispatch mode and follow channel ids through every operation.

The mode sees what really ran, below autograd: control flow, functional calls, arithmetic of frozen norms.
What an operation does to ids is said by a rule (:mod:`compressor.channels.rules`); an operation that meets
channels and has no rule is an error, never a guess.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from compressor.channels.graph import ChannelGraph, close
from compressor.channels.ledger import NONE, Axis, Ledger, Role
from compressor.channels.rules import RULES, Call, tensors_in
from compressor.channels.shadow import Shadow, align, on_axis
from compressor.errors import TraceError
from compressor.modes import evaluation, unfused_attention


class SelfTracing(Protocol):
    """A module that describes its own effect on channels; operations inside it are not followed."""

    def trace_channels(self, tracer: "Tracer", x: Tensor, out: Tensor) -> None:
        """Call ``tracer.consume`` and ``tracer.produce`` for the sides that channels enter and leave."""

    def change_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        """Make a side of the old channels in ``take``; who read channel c reads ``into[c]``, or zero.

        Both are as in `compressor.steps.channels`: -1 in ``into`` stands for zero.
        """

    def mask_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        """Compute the same with the old widths: who read channel c reads ``take[into[c]]``, or zero."""


class Tracer:
    """The state of one trace, and what rules may do to it."""

    def __init__(self, model: nn.Module) -> None:
        self.ledger = Ledger()
        self._names: dict[int, str] = {}
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._axes: dict[tuple[str, int], Axis] = {}
        self._owner: dict[int, Axis] = {}
        self._shadows: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.stack: list[str] = []
        self.opaque = 0
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self._names.setdefault(id(tensor), name)

    @property
    def where(self) -> str:
        """Path of the module that is running."""
        return self.stack[-1] or "the model itself" if self.stack else "the model itself"

    def tracked(self, value: object) -> bool:
        """Say whether a value is a tensor that carries channels."""
        return isinstance(value, Tensor) and (value in self._shadows or id(value) in self._names)

    def shadow(self, tensor: Tensor) -> Shadow | None:
        """Return a tensor's shadow; parameters and buffers get their ids on first use."""
        known = self._shadows.get(tensor)
        if known is not None:
            return cast("Shadow", known)
        if id(tensor) not in self._names:
            return None
        axes = [i for i, n in enumerate(tensor.shape) if n > 1]
        shadow = Shadow(tuple(self.leaf(tensor, i) for i in axes), from_weights=True)
        self._shadows[tensor] = shadow
        return shadow

    def leaf(self, tensor: Tensor, axis: int, role: Role = "other") -> Tensor:
        """Return the ids of one axis of a parameter or buffer, as a factor, and note its role."""
        entry = self._issue(self._names[id(tensor)], axis, tensor.shape[axis])
        if role != "other":
            entry.role = role
        return on_axis(_ids(entry), axis, tensor.ndim)

    def follow(self, tensor: Tensor, axis: int, channels: Tensor, role: Role = "other") -> None:
        """Let an axis of a parameter or buffer carry channels that exist: ``channels``, (size,)."""
        key, ids = (self._names[id(tensor)], axis), channels.numpy()
        if key in self._axes or ids.min() == NONE:
            self.unite(self.leaf(tensor, axis, role).reshape(-1), channels)
            return
        entry = self._axes[key] = self.ledger.bind(*key, ids)
        entry.role = role

    def is_leaf(self, tensor: Tensor) -> bool:
        """Say whether a tensor is a parameter or buffer itself, not computed from one."""
        return id(tensor) in self._names

    def put(self, tensor: Tensor, factors: Sequence[Tensor], *, from_weights: bool = False) -> None:
        """Give a result its shadow; without factors it becomes untracked."""
        carried = tuple(f for f in factors if f.numel() > 1)
        if carried:
            self._shadows[tensor] = Shadow(carried, from_weights)
        else:
            self._shadows.pop(tensor, None)

    def unite(self, left: Tensor, right: Tensor) -> None:
        """Record that ids live or die together, position by position."""
        ndim = max(left.ndim, right.ndim)
        self.ledger.unite(align(left, ndim), align(right, ndim), self.where)

    def freeze(self, ids: Tensor, reason: str) -> None:
        """Record that these ids must stay; the running module is added to the reason."""
        self.ledger.freeze(ids, f"{reason} in {self.where}")

    def mark_inexact(self, ids: Tensor, reason: str) -> None:
        """Record that removing these ids changes what the remaining channels compute."""
        self.ledger.mark_inexact(ids, f"{reason} in {self.where}")

    def set_role(self, ids: Tensor, role: Role) -> None:
        """Note the role of the parameter axis that issued these ids."""
        first = int(ids.reshape(-1)[0])
        if first in self._owner:
            self._owner[first].role = role

    def count_positions(self, weight: Tensor, ids: Tensor, count: int) -> None:
        """Add to the number of times each element of a weight is multiplied, for one image."""
        name = self._names.get(id(weight))
        if name is None:
            owner = self._owner.get(int(ids.reshape(-1)[0]))
            name = owner.tensor if owner else ""
        if name:
            self.ledger.positions[name] = self.ledger.positions.get(name, 0) + count

    def consume(self, module: nn.Module, side: str, x: Tensor, axis: int) -> None:
        """Let the channels that arrive along ``axis`` end in a self-tracing module."""
        entry = self._issue(f"{self._paths[id(module)]}:{side}", 0, x.shape[axis], "consumer")
        shadow = self.shadow(x)
        arriving = shadow.along(axis) if shadow else []
        ids = on_axis(_ids(entry), axis, x.ndim)
        for factor in arriving:
            self.unite(factor, ids)
        if not arriving:
            self.freeze(ids, "reads values that are not channels")

    def produce(self, module: nn.Module, side: str, out: Tensor, axis: int) -> None:
        """Let fresh channels begin along ``axis`` of a self-tracing module's output."""
        entry = self._issue(f"{self._paths[id(module)]}:{side}", 0, out.shape[axis], "producer")
        self.put(out, [on_axis(_ids(entry), axis, out.ndim)])

    def entering(self, module: nn.Module, args: tuple[object, ...]) -> None:
        """Note that a module begins to run."""
        self.stack.append(self._paths.get(id(module), type(module).__name__))
        self.opaque += hasattr(module, "trace_channels")

    def leaving(self, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Note that a module ends; one that describes itself now says what it did."""
        if hasattr(module, "trace_channels"):
            self.opaque -= 1
            out = out.view_as(out) if out is args[0] else out
            cast("SelfTracing", module).trace_channels(self, args[0], out)
        self.stack.pop()
        return out

    def _issue(self, tensor: str, axis: int, size: int, role: Role = "other") -> Axis:
        key = (tensor, axis)
        if key not in self._axes:
            entry = self.ledger.issue(tensor, axis, size)
            entry.role = role
            self._axes[key] = self._owner[int(entry.ids[0])] = entry
        return self._axes[key]


class _Mode(TorchDispatchMode):
    def __init__(self, tracer: Tracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tracer = tracer

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        tracer = self._tracer
        operands = tensors_in((*args, *(kwargs or {}).values()))
        if not tracer.opaque and any(tracer.tracked(value) for value in operands):
            apply_rule(tracer, Call(func, args, kwargs or {}, out))
        return out


def apply_rule(tracer: Tracer, call: Call) -> None:
    """Apply the rule of one operation.

    Raises:
        TraceError: there is none.
    """
    rule = RULES.find(call)
    if rule is None:
        raise TraceError(
            f"cannot follow channels through {call.name} at {tracer.where}{_source_line()}",
            "keep this part whole by wrapping it in a module with trace_channels(), or add a rule for "
            "the operation in compressor/channels/rules/ (CONTRIBUTING.md shows one).",
        )
    rule(tracer, call)


def trace(model: nn.Module, inputs: Sequence[Tensor]) -> ChannelGraph:
    """Trace a model on example inputs of batch size one and return its channel graph.

    The model is not changed. It runs in evaluation mode, without gradients.

    Args:
        model: any module that runs.
        inputs: positional arguments of ``forward``, each (1, channels, ...).

    Raises:
        TraceError: an operation has no rule, or the model does not run on these inputs.
    """
    tracer = Tracer(model)
    with ExitStack() as stack:
        stack.enter_context(evaluation(model))
        stack.enter_context(_watched(tracer))
        stack.enter_context(unfused_attention())
        stack.enter_context(torch.no_grad())
        for number, value in enumerate(inputs):
            _introduce(tracer, number, value)
        outputs = _run(model, inputs, tracer)
    for value in tree_leaves(outputs):
        if isinstance(value, Tensor) and (shadow := tracer.shadow(value)):
            for factor in shadow.factors:
                tracer.ledger.freeze(factor, "output of the model")
    return close(tracer.ledger, model)


def _run(model: nn.Module, inputs: Sequence[Tensor], tracer: Tracer) -> object:
    try:
        with _Mode(tracer):
            return model(*inputs)
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(
            f"{type(model).__name__} does not run on {[tuple(x.shape) for x in inputs]}: {error}",
            "check the input shape (--input 3x224x224; several inputs are separated by commas).",
        ) from error


def _introduce(tracer: Tracer, number: int, value: Tensor) -> None:
    if value.ndim < 2 or value.shape[1] < 2 or not value.is_floating_point():
        return
    entry = tracer.ledger.issue(f"input {number}:channels", 0, value.shape[1])
    ids = on_axis(_ids(entry), 1, value.ndim)
    tracer.ledger.freeze(ids, "input of the model")
    tracer.put(value, [ids])


def _ids(entry: Axis) -> Tensor:
    return torch.from_numpy(entry.ids)


@contextmanager
def _watched(tracer: Tracer) -> Iterator[None]:
    """Keep the stack of running modules, for messages and for self-tracing modules."""
    before = register_module_forward_pre_hook(tracer.entering)
    after = register_module_forward_hook(tracer.leaving)  # type: ignore[arg-type]
    try:
        yield
    finally:
        before.remove()
        after.remove()


def _source_line() -> str:
    """Return `` (file.py:line)`` of the innermost frame outside torch and this package, or nothing."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("torch.", "compressor.channels")):
            return f" ({frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno})"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
