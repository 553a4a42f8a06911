"""Reductions: a channel axis that is averaged, compared or ranked away.

Averages over positions keep the channels. Statistics over channels change when channels go: inexact.
Ranking channels gives numbers that name them: those channels stay.
"""

from compressor.channels.call import Call
from compressor.channels.rules import rule
from compressor.channels.shadow import Factor, varying
from compressor.channels.tracer import Tracer


@rule("aten.mean", "aten.sum", "aten.amax", "aten.amin", "aten.var", "aten.std", "aten.prod", "aten.norm",
      "aten.var_mean", "aten.std_mean", "aten.linalg_vector_norm", "aten.logsumexp", "aten.any",
      "aten.all")  # fmt: skip
def reduction(tracer: Tracer, call: Call) -> None:
    """Statistics along axes."""
    x = call["self"]
    axes = _axes(call, x.ndim)
    shadow = tracer.shadow(x)
    kept: list[Factor] = []
    for factor in shadow.factors:
        if varying(factor) & axes:
            tracer.mark_inexact(factor, f"{call.name.split('.')[-1]} over channels")
        else:
            kept.append(_reduced(factor, axes, call.first_output.ndim))
    for out in call.outputs:
        tracer.put(out, kept, from_weights=shadow.from_weights)


def _axes(call: Call, ndim: int) -> set[int]:
    axes = call.get("dim")
    if axes is None or axes == []:
        return set(range(ndim))
    return {int(a) % ndim for a in (axes if isinstance(axes, list | tuple) else [axes])}


def _reduced(factor: Factor, axes: set[int], ndim: int) -> Factor:
    if factor.ndim == ndim:
        return factor
    return factor.reshape([n for axis, n in enumerate(factor.shape) if axis not in axes])


@rule("aten._softmax", "aten._log_softmax", "aten.softmax", "aten.log_softmax", "aten.cumsum")
def softmax(tracer: Tracer, call: Call) -> None:
    """Normalising over channels depends on all of them."""
    x = call["self"]
    shadow = tracer.shadow(x)
    axis = int(call["dim"]) % x.ndim
    for factor in shadow.along(axis):
        tracer.mark_inexact(factor, f"{call.name.split('.')[-1].strip('_')} over channels")
    tracer.put(call.output, shadow.factors)


@rule("aten.argmax", "aten.argmin", "aten.topk", "aten.sort", "aten.max", "aten.min", "aten.nonzero",
      "aten._local_scalar_dense", "aten.equal", "aten.median", "aten.unique2", "aten._unique2")  # fmt: skip
def ranking(tracer: Tracer, call: Call) -> None:
    """Values are turned into positions or Python numbers: whatever they carry must stay."""
    for value in call.tensors:
        for factor in tracer.shadow(value).factors:
            tracer.freeze(factor, f"ranked by {call.name}")
