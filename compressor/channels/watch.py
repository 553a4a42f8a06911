"""Run a model once under a dispatch mode and follow channel ids through every operation.

The mode sees what really ran, below autograd: control flow, functional calls, arithmetic of frozen norms.
What an operation does to ids is said by a rule (:mod:`compressor.channels.rules`); an operation that meets
channels and has no rule is an error, never a guess.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from compressor.base.errors import TraceError
from compressor.base.modes import evaluation, unfused_attention
from compressor.channels.call import Call, tensors_in
from compressor.channels.graph import ChannelGraph, close
from compressor.channels.rules import RULES
from compressor.channels.tracer import Tracer


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
            tracer.introduce(number, value)
        outputs = _run(model, inputs, tracer)
    for value in tree_leaves(outputs):
        for factor in tracer.shadow(value).factors if isinstance(value, Tensor) else ():
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
