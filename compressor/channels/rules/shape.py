"""Shape operations: executed on the shadow itself, then checked for what they tie together.

Views, permutations, flattening and concatenation need no thought: the ids move as the values do. Three
things do: cutting an axis into equal pieces (every piece must lose the same positions), cutting it at fixed
places (it must stay whole), and folding one axis into two (a channel shuffle: all rows lose the same).
"""

import torch
from torch import Tensor

from compressor.channels.call import Call
from compressor.channels.ledger import NONE
from compressor.channels.rules import rule
from compressor.channels.shadow import Factor, Shadow, align, compact, mapped, varying
from compressor.channels.tracer import Tracer


@rule("aten.permute", "aten.transpose", "aten.t", "aten.unsqueeze", "aten.squeeze", "aten.expand",
      "aten.repeat", "aten.numpy_T", "aten.movedim")  # fmt: skip
def rename_axes(tracer: Tracer, call: Call) -> None:
    """Axes change places; nothing else does."""
    x = call.subject
    shadow = tracer.shadow(x)
    moved = [mapped(factor, x.shape, call.on) for factor in shadow.factors]
    tracer.put(call.output, moved, from_weights=shadow.from_weights)


@rule(
    "aten.view", "aten._unsafe_view", "aten.reshape", "aten._reshape_alias", "aten.flatten", "aten.unflatten"
)
def view(tracer: Tracer, call: Call) -> None:
    """Axes are merged or split; a split channel axis loses the same positions in every row."""
    x, out = call.subject, call.output
    shadow = tracer.shadow(x)
    moved = [mapped(f, x.shape, lambda full: full.reshape(out.shape)) for f in shadow.factors]
    for before, after in zip(shadow.factors, moved, strict=True):
        if len(varying(after)) > max(1, len(varying(before))):
            tracer.unite(after, after.narrow(min(varying(after)), 0, 1))
    for i, factor in enumerate(moved):
        if any(varying(factor) & varying(other) for other in moved[:i]):
            tracer.freeze(torch.cat([f.reshape(-1) for f in moved]), "several kinds of channels on one axis")
    tracer.put(out, moved, from_weights=shadow.from_weights)


@rule("aten.as_strided")
def restride(tracer: Tracer, call: Call) -> None:
    """A change of memory layout keeps everything; a change of shape is beyond us."""
    x = call["self"]
    shadow = tracer.shadow(x)
    if tuple(call.output.shape) != tuple(x.shape):
        for factor in shadow.factors:
            tracer.freeze(factor, "cut by as_strided")
        return
    tracer.put(call.output, shadow.factors, from_weights=shadow.from_weights)


@rule("aten.slice", "aten.select", "aten.index_select", "aten.index", "aten.narrow", "aten.gather")
def pick(tracer: Tracer, call: Call) -> None:
    """Picking along other axes keeps the channels; fixed positions of a channel axis keep it whole."""
    x = call["self"]
    shadow = tracer.shadow(x)
    axes = _picked_axes(call, x)
    moved = []
    for factor in shadow.factors:
        if varying(factor) & axes:
            tracer.freeze(factor, "picked at fixed positions")
        moved.append(mapped(factor, x.shape, call.on))
    tracer.put(call.output, moved, from_weights=shadow.from_weights)


def _picked_axes(call: Call, x: Tensor) -> set[int]:
    if call.name == "aten.index":
        return {axis for axis, index in enumerate(call["indices"]) if index is not None}
    axis = int(call["dim"]) % x.ndim
    whole = call.name == "aten.slice" and call.output.shape[axis] == x.shape[axis]
    return set() if whole else {axis}


@rule("aten.split", "aten.split_with_sizes", "aten.unbind", "aten.unsafe_split", "aten.chunk")
def split(tracer: Tracer, call: Call) -> None:
    """Equal pieces of a channel axis lose the same positions; unequal ones keep it whole."""
    x, pieces = call["self"], call.output
    unbind = call.name == "aten.unbind"
    axis = int(call["dim"]) % x.ndim
    shadow = tracer.shadow(x)
    moved: list[list[Factor]] = [[] for _ in pieces]
    for factor in shadow.factors:
        parts = call.on(factor.expand(x.shape))
        if axis in varying(factor):
            _tie(tracer, factor, parts, unbind=unbind)
        for place, part in zip(moved, parts, strict=True):
            place.append(compact(part))
    for piece, factors in zip(pieces, moved, strict=True):
        tracer.put(piece, factors, from_weights=shadow.from_weights)


@rule("aten.glu")
def glu(tracer: Tracer, call: Call) -> None:
    """One half of the channels gates the other: both lose the same positions."""
    x = call["self"]
    axis = int(call["dim"]) % x.ndim
    shadow = tracer.shadow(x)
    kept = []
    for factor in shadow.factors:
        values, gates = factor.chunk(2, axis) if axis in varying(factor) else (factor, factor)
        tracer.unite(values, gates)
        kept.append(values)
    tracer.put(call.output, kept)


def _tie(tracer: Tracer, factor: Factor, parts: list[Tensor], *, unbind: bool) -> None:
    if unbind or any(part.shape != parts[0].shape for part in parts):
        tracer.freeze(factor, "split at fixed positions")
        return
    for part in parts[1:]:
        tracer.unite(compact(part), compact(parts[0]))


@rule("aten.cat")
def concatenate(tracer: Tracer, call: Call) -> None:
    """Channel axes are joined end to end; along other axes the operands' channels are one."""
    tensors = [t for t in call["tensors"] if t.shape != (0,)]
    axis = int(call["dim"]) % call.output.ndim
    shadows = [tracer.shadow(t) for t in tensors]
    joined = _joined(tracer, tensors, shadows, axis)
    beside = _beside(tracer, shadows, axis)
    known = all(s.from_weights for s in shadows)
    tracer.put(call.output, [*joined, *beside], from_weights=known)


def _joined(tracer: Tracer, tensors: list[Tensor], shadows: list[Shadow], axis: int) -> list[Factor]:
    along = [s.along(axis) for s in shadows]
    if not any(along):
        return []
    parts = []
    for tensor, factors in zip(tensors, along, strict=True):
        for extra in factors[1:]:
            tracer.freeze(extra, "several kinds of channels on one axis")
        length = [tensor.shape[a] if a == axis else 1 for a in range(tensor.ndim)]
        empty = torch.full(length, NONE, dtype=torch.int64)
        parts.append(factors[0].expand(_wide(factors[0], tensor, axis)) if factors else empty)
    shapes = [[n if a != axis else 1 for a, n in enumerate(p.shape)] for p in parts]
    common = list(torch.broadcast_shapes(*shapes))
    return [torch.cat([p.expand([*common[:axis], p.shape[axis], *common[axis + 1 :]]) for p in parts], axis)]


def _wide(factor: Factor, tensor: Tensor, axis: int) -> list[int]:
    return [tensor.shape[a] if a == axis else n for a, n in enumerate(factor.shape)]


def _beside(tracer: Tracer, shadows: list[Shadow], axis: int) -> list[Factor]:
    """Unite factors that lie across the joined axis, and freeze those that an operand lacks."""
    kept: list[Factor] = []
    for shadow in shadows:
        for factor in shadow.across(axis):
            twin = next((k for k in kept if varying(k) & varying(factor)), None)
            if twin is None:
                kept.append(factor)
            else:
                tracer.unite(twin, factor)
    for factor in kept:
        if not all(any(varying(f) & varying(factor) for f in s.across(axis)) for s in shadows):
            tracer.freeze(factor, "joined with a tensor of fixed size")
    return kept


@rule("aten.stack")
def stack(tracer: Tracer, call: Call) -> None:
    """Operands lie side by side along a new axis: their channels are one."""
    axis = int(call["dim"]) % call.output.ndim
    shadows = [tracer.shadow(t) for t in call["tensors"]]
    raised = [Shadow(tuple(f.unsqueeze(axis) for f in s.factors)) for s in shadows]
    tracer.put(call.output, _beside(tracer, raised, axis))


@rule("aten.index_put")
def write(tracer: Tracer, call: Call) -> None:
    """Rows written into a fresh tensor bring their channels along its last axes."""
    known = tracer.shadow(call["self"])
    kept = [align(f, call.output.ndim) for f in tracer.shadow(call["values"]).across(0)]
    for factor in kept:
        for other in known.factors:
            if varying(other) & varying(factor):
                tracer.unite(other, factor)
    tracer.put(call.output, [*known.factors] or kept)
