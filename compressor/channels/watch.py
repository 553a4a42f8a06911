"""Run a model once under a dispatch mode and follow channel ids through every operation.

The mode sees what really ran, below autograd: control flow, functional calls, arithmetic of frozen norms.
What an operation does to ids is said by a rule (:mod:`compressor.channels.rules`); an operation that meets
channels and has no rule is an error, never a guess.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from compressor.base.errors import TraceError
from compressor.base.modes import evaluation, unfused_attention
from compressor.base.outputs import tensors_of
from compressor.channels.call import Call
from compressor.channels.dispatch import Calls, modules_told
from compressor.channels.graph import ChannelGraph, close
from compressor.channels.rules import RULES
from compressor.channels.tracer import Tracer


def _follow(tracer: Tracer, call: Call) -> None:
    if not tracer.opaque and any(tracer.tracked(value) for value in call.tensors):
        apply_rule(tracer, call)


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
        stack.enter_context(modules_told(tracer.entering, tracer.leaving))
        stack.enter_context(unfused_attention())
        stack.enter_context(torch.no_grad())
        for number, value in enumerate(inputs):
            tracer.introduce(number, value)
        outputs = _run(model, inputs, tracer)
    returned = tensors_of(outputs)
    if not returned:
        raise TraceError(
            f"{type(model).__name__} returns {type(outputs).__name__}, in which there is no tensor",
            "let forward return tensors, alone or in lists, mappings, dataclasses or objects.",
        )
    for value in returned:
        for factor in tracer.shadow(value).factors:
            tracer.ledger.freeze(factor, "output of the model")
    return close(tracer.ledger, model)


def _run(model: nn.Module, inputs: Sequence[Tensor], tracer: Tracer) -> object:
    try:
        with Calls(partial(_follow, tracer)):
            return model(*inputs)
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(
            f"{type(model).__name__} does not run on {[tuple(x.shape) for x in inputs]}: {error}",
            "check the input shape (--input 3x224x224; several inputs are separated by commas).",
        ) from error


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
