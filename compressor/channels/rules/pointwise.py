"""Element-wise operations: channels that meet at one position are one.

Operands are broadcast. Factors that vary along a common axis are united. A factor along an axis where the
other operand has fixed positions of its own (a constant mask, a table of positions) can lose nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from compressor.channels.call import Call
from compressor.channels.rules import rule
from compressor.channels.shadow import Factor, Shadow, align, varying
from compressor.channels.tracer import Tracer


@rule("pointwise", "aten.hardswish", "aten._prelu_kernel", "aten.rsub", "aten.copy", "aten.where",
      "aten.lerp", "aten.leaky_relu", "aten.log_sigmoid_forward")  # fmt: skip
def pointwise(tracer: Tracer, call: Call) -> None:
    """Unite the operands' factors and hand the union to the result."""
    operands = call.tensors
    shadows = [tracer.shadow(a) for a in operands]
    out = call.first_output
    if len(operands) == 1:
        tracer.put(out, shadows[0].factors, from_weights=shadows[0].from_weights)
        return
    merged: list[Factor] = []
    for shadow in shadows:
        for factor in shadow.factors:
            _merge(tracer, merged, align(factor, out.ndim))
    _freeze_beside_constants(tracer, merged, operands, shadows, out.ndim)
    known = [s for s, a in zip(shadows, operands, strict=True) if a.numel() > 1]
    tracer.put(out, merged, from_weights=all(s.from_weights for s in known))


def _merge(tracer: Tracer, merged: list[Factor], factor: Factor) -> None:
    for i, other in enumerate(merged):
        if varying(other) & varying(factor):
            tracer.unite(other, factor)
            if len(varying(factor) - varying(other)):
                shape = torch.broadcast_shapes(other.shape, factor.shape)
                merged[i] = other.expand(shape)
            return
    merged.append(factor)


def _freeze_beside_constants(
    tracer: Tracer, merged: list[Factor], operands: Sequence[Tensor], shadows: list[Shadow], ndim: int
) -> None:
    for factor in merged:
        for operand, shadow in zip(operands, shadows, strict=True):
            own = [varying(align(f, ndim)) for f in shadow.factors]
            for axis in varying(factor):
                here = axis - (ndim - operand.ndim)
                fixed = here >= 0 and operand.shape[here] > 1 and not any(axis in axes for axes in own)
                if fixed:
                    tracer.freeze(factor, "combined element-wise with a tensor of fixed size")


@rule(
    "aten.clone", "aten.alias", "aten.detach", "aten.contiguous", "aten._to_copy", "aten.lift_fresh",
    "aten.fill", "aten.zero", "aten.native_dropout", "aten.zeros_like", "aten.ones_like", "aten.empty_like",
    "aten.full_like", "aten.rand_like", "aten.randn_like", "aten.bernoulli", "aten.dropout",
)  # fmt: skip
def same(tracer: Tracer, call: Call) -> None:
    """Results of the argument's shape keep its shadow."""
    shadow = tracer.shadow(call.subject)
    tracer.put(call.first_output, shadow.factors, from_weights=shadow.from_weights)


@rule("aten.new_zeros", "aten.new_empty", "aten.new_ones", "aten.new_full", "aten.new_empty_strided")
def unrelated(tracer: Tracer, call: Call) -> None:
    """Results that only borrow type and device carry no channels."""
