"""Normalisation: parameters and statistics go with the channels that they scale.

Batch norm treats channels one by one and is exact. A norm whose statistics run *over* channels computes
something else once channels are gone: its units are marked inexact, with the reason.
"""

from typing import TYPE_CHECKING

from torch import Tensor

from compressor.channels.rules import Call, first_output, rule
from compressor.channels.shadow import on_axis, varying

if TYPE_CHECKING:
    from compressor.channels.tracer import Tracer


@rule("aten.native_batch_norm", "aten._native_batch_norm_legit", "aten._native_batch_norm_legit_no_training",
      "aten.cudnn_batch_norm", "aten.miopen_batch_norm", "aten.batch_norm", "aten._batch_norm_no_update",
      "aten._batch_norm_with_update")  # fmt: skip
def batch_norm(tracer: "Tracer", call: Call) -> None:
    """Unite weight, bias and running statistics with the channel axis."""
    x = call.args[0]
    _unite_vectors(tracer, x, 1, call.args[1:5])
    _pass_on(tracer, x, first_output(call))


@rule("aten.native_layer_norm", "aten.layer_norm", "aten._fused_rms_norm", "aten.rms_norm")
def layer_norm(tracer: "Tracer", call: Call) -> None:
    """Statistics run over the last axes: inexact for every channel among them."""
    x, normalised = call.args[0], len(call.args[1])
    shadow = tracer.shadow(x)
    for factor in shadow.factors if shadow else ():
        inside = [axis for axis in varying(factor) if axis >= x.ndim - normalised]
        if inside:
            tracer.mark_inexact(factor, "layer norm over channels")
    for vector in call.args[2:4]:
        if isinstance(vector, Tensor) and vector.ndim == 1:
            _unite_vectors(tracer, x, x.ndim - 1, (vector,))
        elif isinstance(vector, Tensor) and (own := tracer.shadow(vector)):
            for factor in own.factors:
                tracer.freeze(factor, "layer norm over several axes")
    _pass_on(tracer, x, first_output(call))


@rule("aten.native_group_norm", "aten.group_norm")
def group_norm(tracer: "Tracer", call: Call) -> None:
    """Every group of channels must lose the same positions, and its statistics change."""
    x = call.args[0]
    native = call.name == "aten.native_group_norm"
    vectors = call.args[1:3] if native else call.args[2:4]
    groups = int(call.args[6] if native else call.args[1])
    _unite_vectors(tracer, x, 1, vectors)
    shadow = tracer.shadow(x)
    for factor in shadow.along(1) if shadow else []:
        blocks = factor.reshape(-1).reshape(groups, -1)
        if blocks.shape[1] == 1:
            tracer.freeze(factor, "group norm with one channel per group")
        tracer.unite(blocks, blocks[:1])
        tracer.mark_inexact(factor, "group norm over channels")
    _pass_on(tracer, x, first_output(call))


def _unite_vectors(tracer: "Tracer", x: Tensor, axis: int, vectors: tuple[object, ...]) -> None:
    shadow = tracer.shadow(x)
    arriving = shadow.along(axis) if shadow else []
    alone = arriving[0].reshape(-1) if [varying(f) for f in arriving] == [{axis}] else None
    for number, vector in enumerate(vectors):
        if not isinstance(vector, Tensor) or vector.numel() < 2:
            continue
        if alone is not None and tracer.is_leaf(vector):
            tracer.follow(vector, 0, alone, "norm" if number == 0 else "other")
            continue
        own = tracer.shadow(vector)
        for factor in own.factors if own else ():
            if number == 0:
                tracer.set_role(factor, "norm")
            for channel in arriving:
                tracer.unite(on_axis(factor.reshape(-1), axis, x.ndim), channel)
            if not arriving:
                tracer.freeze(factor, "normalises values that are not channels")


def _pass_on(tracer: "Tracer", x: Tensor, out: Tensor) -> None:
    shadow = tracer.shadow(x)
    tracer.put(out, shadow.factors if shadow else ())
