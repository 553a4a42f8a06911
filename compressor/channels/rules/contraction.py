"""Convolutions and matrix products: ids of the contracted axis are united, the others flow on.

For y = x W, the ids that arrive along the contracted axis of x are those of W's input axis; the ids of W's
output axis flow on with y. In a grouped convolution every group must lose the same positions, because all
groups share one width; a depthwise convolution passes its channels through.
"""

from torch import Tensor

from compressor.channels.call import Call
from compressor.channels.rules import rule
from compressor.channels.shadow import Factor, Shadow, align, on_axis, varying
from compressor.channels.tracer import Tracer


@rule("aten.convolution")
def convolution(tracer: Tracer, call: Call) -> None:
    """Follow an ordinary, grouped, depthwise or transposed convolution."""
    x, weight = call["input"], call["weight"]
    transposed, groups = bool(call["transposed"]), int(call["groups"])
    ids = (_transposed if transposed else _ordinary)(tracer, x, weight, groups)
    image = x if transposed else call.output
    tracer.count_positions(weight, ids, image.numel() // image.shape[1])
    _add_bias(tracer, call["bias"], ids)
    tracer.put(call.output, [on_axis(ids, 1, call.output.ndim)])


def _add_bias(tracer: Tracer, bias: Tensor | None, ids: Tensor) -> None:
    if bias is not None and tracer.is_leaf(bias):
        tracer.follow(bias, 0, ids)
    elif bias is not None:
        tracer.unite(_vector(tracer, bias, 0), ids)


def _ordinary(tracer: Tracer, x: Tensor, weight: Tensor, groups: int) -> Tensor:
    out_ids = _axis_of_weight(tracer, weight, 0)
    width = weight.shape[1]
    if groups > 1 and width == 1:
        per_group = weight.shape[0] // groups
        _depthwise(tracer, x, out_ids.reshape(groups, per_group))
        return out_ids
    tracer.set_role(out_ids, "producer")
    arriving = _arriving(tracer, x, 1)
    if groups == 1 and tracer.is_leaf(weight) and [varying(f) for f in arriving] == [{1}]:
        tracer.follow(weight, 1, arriving[0].reshape(-1), "consumer")
        return out_ids
    in_ids = _axis_of_weight(tracer, weight, 1)
    _read(tracer, x, 1, in_ids.repeat(groups), in_ids)
    if groups > 1:
        blocks = out_ids.reshape(groups, -1)
        tracer.unite(blocks, blocks[:1])
    return out_ids


def _transposed(tracer: Tracer, x: Tensor, weight: Tensor, groups: int) -> Tensor:
    in_ids = _axis_of_weight(tracer, weight, 0)
    if groups > 1 and weight.shape[0] == groups:
        _depthwise(tracer, x, in_ids.reshape(groups, 1))
        if weight.shape[1] > 1:
            tracer.freeze(_axis_of_weight(tracer, weight, 1), "channel multiplier of a depthwise convolution")
        return in_ids.repeat_interleave(weight.shape[1])
    out_ids = _axis_of_weight(tracer, weight, 1)
    tracer.set_role(out_ids, "producer")
    _read(tracer, x, 1, in_ids, in_ids)
    if groups > 1:
        blocks = in_ids.reshape(groups, -1)
        tracer.unite(blocks, blocks[:1])
    return out_ids.repeat(groups)


def _depthwise(tracer: Tracer, x: Tensor, ids: Tensor) -> None:
    """Unite channel g of the input with row g of ``ids``, (groups, outputs per group)."""
    tracer.set_role(ids, "depthwise")
    arriving = _arriving(tracer, x, 1)
    for factor in arriving:
        tracer.unite(factor.movedim(1, 0).reshape(ids.shape[0], -1)[:, :, None], ids[:, None, :])
    if not arriving:
        tracer.freeze(ids, "reads values that are not channels")


def _read(tracer: Tracer, x: Tensor, axis: int, expected: Tensor, in_ids: Tensor) -> None:
    """Unite what arrives along ``axis`` of x with the ids expected there; ``in_ids`` belong to a weight."""
    tracer.set_role(in_ids, "consumer")
    arriving = _arriving(tracer, x, axis)
    for factor in arriving:
        tracer.unite(factor, on_axis(expected, axis, x.ndim))
    if not arriving:
        tracer.freeze(in_ids, "reads values that are not channels")


def _arriving(tracer: Tracer, x: Tensor, axis: int) -> list[Factor]:
    return tracer.shadow(x).along(axis)


def _axis_of_weight(tracer: Tracer, weight: Tensor, axis: int) -> Tensor:
    """Return the ids along one axis of a convolution's weight, (size,)."""
    if tracer.is_leaf(weight):
        return tracer.leaf(weight, axis).reshape(-1)
    return _vector(tracer, weight, axis)


def _vector(tracer: Tracer, weight: Tensor, axis: int) -> Tensor:
    """Return the ids along one axis of a computed weight; whatever else varies in it must stay."""
    shadow = tracer.shadow(weight)
    found: Tensor | None = None
    for factor in shadow.factors:
        if varying(factor) == {axis} and found is None:
            found = factor.reshape(-1)
        elif axis in varying(factor) or min(varying(factor)) > 1:
            tracer.freeze(factor, "position inside a kernel")
    if found is None:
        found = weight.new_zeros(weight.shape[axis]).long()
    return found


@rule("aten.mm", "aten.bmm", "aten.mv", "aten.dot")
def matmul(tracer: Tracer, call: Call) -> None:
    """Follow a matrix product."""
    x, y, *_ = call.tensors  # the second has another name in each of them
    _product(tracer, x, y, call.output)


@rule("aten.addmm", "aten.baddbmm")
def matmul_plus(tracer: Tracer, call: Call) -> None:
    """Follow a matrix product with an addend."""
    addend, x, weight, *_ = call.tensors  # named differently in the two
    _product(tracer, x, weight, call.output)
    result, extra = tracer.shadow(call.output), tracer.shadow(addend)
    for factor in extra.factors:
        placed = align(factor, call.output.ndim)
        for other in result.factors:
            if varying(other) & varying(placed):
                tracer.unite(other, placed)


@rule("aten.linear")
def linear(tracer: Tracer, call: Call) -> None:
    """Follow x W^T + b where it was not split into a transposition and a product."""
    x, weight = call["input"], call["weight"]
    in_ids, out_ids = (_axis_of_weight(tracer, weight, axis) for axis in (1, 0))
    tracer.set_role(out_ids, "producer")
    _read(tracer, x, x.ndim - 1, in_ids, in_ids)
    _add_bias(tracer, call["bias"], out_ids)
    tracer.count_positions(weight, in_ids, x.numel() // x.shape[-1])
    rows = [f for f in tracer.shadow(x).across(x.ndim - 1) if varying(f)]
    tracer.put(call.output, [*rows, on_axis(out_ids, x.ndim - 1, x.ndim)])


def _product(tracer: Tracer, x: Tensor, y: Tensor, out: Tensor) -> None:
    """Follow x @ y, where either may hold weights; the last axis of x meets the last but one of y."""
    left, right = tracer.shadow(x), tracer.shadow(y)
    x_axis, y_axis = x.ndim - 1, max(y.ndim - 2, 0)
    _contract(tracer, (left, x_axis), (right, y_axis))
    rows = _survivors(tracer, left, x_axis)
    columns = _survivors(tracer, right, y_axis)
    for shadow, weight, kept in ((left, x, rows), (right, y, columns)):
        if shadow.from_weights:
            for factor in kept:
                tracer.set_role(factor, "producer")
            if shadow.factors:
                share = x.shape[-1] * (y.shape[-1] if weight is y else x.shape[-2] if x.ndim > 1 else 1)
                tracer.count_positions(weight, shadow.factors[0], out.numel() * x.shape[-1] // share)
    tracer.put(out, _placed(rows, columns, out.ndim))


def _contract(tracer: Tracer, left: tuple[Shadow, int], right: tuple[Shadow, int]) -> None:
    ours, theirs = (s.along(axis) for s, axis in (left, right))
    weights = [s.from_weights for s, _ in (left, right)]
    if sum(weights) != 1:
        for factor in (*ours, *theirs):
            tracer.freeze(factor, "summed over in a product of two activations")
        return
    (read, axis), arriving = ((ours, left[1]), theirs) if weights[0] else ((theirs, right[1]), ours)
    for factor in read:
        tracer.set_role(factor, "consumer")
        if varying(factor) != {axis} or len(arriving) != 1 or len(varying(arriving[0])) != 1:
            tracer.freeze(factor, "reads values that are not channels")
            for other in arriving:
                tracer.freeze(other, "summed over together with positions")
        else:
            tracer.unite(factor.reshape(-1), arriving[0].reshape(-1))
    if not read:
        for factor in arriving:
            tracer.freeze(factor, "summed over with constants")


def _survivors(tracer: Tracer, shadow: Shadow, contracted: int) -> list[Factor]:
    """Return the factors along the axis that a product keeps; those along its batch must stay."""
    kept = []
    for factor in shadow.across(contracted):
        axes = varying(factor)
        if len(axes) == 1 and min(axes) >= factor.ndim - 2:
            kept.append(factor)
        elif axes:
            tracer.freeze(factor, "position in a batch of products")
    return kept


def _placed(rows: list[Factor], columns: list[Factor], ndim: int) -> list[Factor]:
    placed = [on_axis(f.reshape(-1), max(ndim - 2, 0), ndim) for f in rows]
    return placed + [on_axis(f.reshape(-1), ndim - 1, ndim) for f in columns]


@rule("aten._scaled_dot_product_flash_attention_for_cpu", "aten._scaled_dot_product_flash_attention",
      "aten._scaled_dot_product_efficient_attention", "aten._scaled_dot_product_attention_math",
      "aten._scaled_dot_product_fused_attention_overrideable", "aten.scaled_dot_product_attention",
      )  # fmt: skip
def attention(tracer: Tracer, call: Call) -> None:
    """Attention keeps its heads whole."""
    for name in ("query", "key", "value"):
        for factor in tracer.shadow(call[name]).factors:
            tracer.freeze(factor, "attention heads stay whole")


@rule("aten.embedding")
def embedding(tracer: Tracer, call: Call) -> None:
    """Rows of the table are looked up and stay; its columns flow on."""
    shadow = tracer.shadow(call["weight"])
    for factor in shadow.along(0):
        tracer.freeze(factor, "rows of a lookup table")
    last, ndim = call.output.ndim - 1, call.output.ndim
    tracer.put(call.output, [on_axis(f.reshape(-1), last, ndim) for f in shadow.along(1)])
