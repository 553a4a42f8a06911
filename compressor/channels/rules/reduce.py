"""Reductions: a channel axis that is averaged, compared or ranked away.

Averages over positions keep the channels. Statistics over channels change when channels go: inexact.
Ranking channels gives numbers that name them: those channels stay.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from compressor.channels.rules import Call, rule
from compressor.channels.shadow import Factor, varying

if TYPE_CHECKING:
    from compressor.channels.tracer import Tracer


@rule("aten.mean", "aten.sum", "aten.amax", "aten.amin", "aten.var", "aten.std", "aten.prod", "aten.norm",
      "aten.var_mean", "aten.std_mean", "aten.linalg_vector_norm", "aten.logsumexp", "aten.any",
      "aten.all")  # fmt: skip
def reduction(tracer: "Tracer", call: Call) -> None:
    """Statistics along axes."""
    x = call.args[0]
    axes = _axes(call, x.ndim)
    outs = [o for o in (call.out if isinstance(call.out, tuple) else (call.out,)) if isinstance(o, Tensor)]
    shadow = tracer.shadow(x)
    kept: list[Factor] = []
    for factor in shadow.factors if shadow else ():
        if varying(factor) & axes:
            tracer.mark_inexact(factor, f"{call.name.split('.')[-1]} over channels")
        else:
            kept.append(_reduced(factor, axes, outs[0].ndim))
    for out in outs:
        tracer.put(out, kept, from_weights=bool(shadow and shadow.from_weights))


def _axes(call: Call, ndim: int) -> set[int]:
    index = 2 if call.name in ("aten.linalg_vector_norm", "aten.norm") else 1
    axes: Any = call.arg(index)
    if axes is None or axes == [] or isinstance(axes, torch.dtype | bool):
        return set(range(ndim))
    return {int(a) % ndim for a in (axes if isinstance(axes, list | tuple) else [axes])}


def _reduced(factor: Factor, axes: set[int], ndim: int) -> Factor:
    if factor.ndim == ndim:
        return factor
    return factor.reshape([n for axis, n in enumerate(factor.shape) if axis not in axes])


@rule("aten._softmax", "aten._log_softmax", "aten.softmax", "aten.log_softmax", "aten.cumsum")
def softmax(tracer: "Tracer", call: Call) -> None:
    """Normalising over channels depends on all of them."""
    x = call.args[0]
    shadow = tracer.shadow(x)
    axis = int(call.args[1]) % x.ndim
    for factor in shadow.along(axis) if shadow else []:
        tracer.mark_inexact(factor, f"{call.name.split('.')[-1].strip('_')} over channels")
    tracer.put(call.out, shadow.factors if shadow else ())


@rule("aten.argmax", "aten.argmin", "aten.topk", "aten.sort", "aten.max", "aten.min", "aten.nonzero",
      "aten._local_scalar_dense", "aten.equal", "aten.median", "aten.unique2", "aten._unique2")  # fmt: skip
def ranking(tracer: "Tracer", call: Call) -> None:
    """Values are turned into positions or Python numbers: whatever they carry must stay."""
    for value in call.args:
        shadow = tracer.shadow(value) if isinstance(value, Tensor) else None
        for factor in shadow.factors if shadow else ():
            tracer.freeze(factor, f"ranked by {call.name}")
