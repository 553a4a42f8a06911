"""Normalisation: parameters and statistics go with the channels that they scale.

Batch norm treats channels one by one and is exact. A norm whose statistics run *over* channels computes
something else once channels are gone: its units are marked inexact, with the reason.
"""

from collections.abc import Sequence

from torch import Tensor

from compressor.channels.call import Call
from compressor.channels.rules import rule
from compressor.channels.shadow import on_axis, varying
from compressor.channels.tracer import Tracer


@rule("aten.native_batch_norm", "aten._native_batch_norm_legit", "aten._native_batch_norm_legit_no_training",
      "aten.cudnn_batch_norm", "aten.miopen_batch_norm", "aten.batch_norm", "aten._batch_norm_no_update",
      "aten._batch_norm_with_update")  # fmt: skip
def batch_norm(tracer: Tracer, call: Call) -> None:
    """Unite weight, bias and running statistics with the channel axis."""
    x = call["input"]
    names = ("weight", "bias", "running_mean", "running_var")
    _unite_vectors(tracer, x, 1, [call.get(name) for name in names])
    _pass_on(tracer, x, call.first_output)


@rule("aten.native_layer_norm", "aten.layer_norm", "aten._fused_rms_norm", "aten.rms_norm")
def layer_norm(tracer: Tracer, call: Call) -> None:
    """Statistics run over the last axes: inexact for every channel among them."""
    x, normalised = call["input"], len(call["normalized_shape"])
    for factor in tracer.shadow(x).factors:
        inside = [axis for axis in varying(factor) if axis >= x.ndim - normalised]
        if inside:
            tracer.mark_inexact(factor, "layer norm over channels")
    for vector in (call["weight"], call.get("bias")):
        if isinstance(vector, Tensor) and vector.ndim == 1:
            _unite_vectors(tracer, x, x.ndim - 1, [vector])
        elif isinstance(vector, Tensor):
            for factor in tracer.shadow(vector).factors:
                tracer.freeze(factor, "layer norm over several axes")
    _pass_on(tracer, x, call.first_output)


@rule("aten.native_group_norm", "aten.group_norm")
def group_norm(tracer: Tracer, call: Call) -> None:
    """Every group of channels must lose the same positions, and its statistics change."""
    x = call["input"]
    groups = int(call["group"] if "group" in call else call["num_groups"])
    _unite_vectors(tracer, x, 1, [call["weight"], call["bias"]])
    for factor in tracer.shadow(x).along(1):
        blocks = factor.reshape(-1).reshape(groups, -1)
        if blocks.shape[1] == 1:
            tracer.freeze(factor, "group norm with one channel per group")
        tracer.unite(blocks, blocks[:1])
        tracer.mark_inexact(factor, "group norm over channels")
    _pass_on(tracer, x, call.first_output)


def _unite_vectors(tracer: Tracer, x: Tensor, axis: int, vectors: Sequence[object]) -> None:
    arriving = tracer.shadow(x).along(axis)
    alone = arriving[0].reshape(-1) if [varying(f) for f in arriving] == [{axis}] else None
    for number, vector in enumerate(vectors):
        if not isinstance(vector, Tensor) or vector.numel() < 2:
            continue
        if alone is not None and tracer.is_leaf(vector):
            tracer.follow(vector, 0, alone, "norm" if number == 0 else "other")
            continue
        for factor in tracer.shadow(vector).factors:
            if number == 0:
                tracer.set_role(factor, "norm")
            for channel in arriving:
                tracer.unite(on_axis(factor.reshape(-1), axis, x.ndim), channel)
            if not arriving:
                tracer.freeze(factor, "normalises values that are not channels")


def _pass_on(tracer: Tracer, x: Tensor, out: Tensor) -> None:
    tracer.put(out, tracer.shadow(x).factors)
