"""Widen channel groups to multiples that hardware likes, without changing what the model computes.

Kernels work on blocks of channels. A width of 41 costs what 48 costs, and often more, because the fast path
takes whole blocks only. Pruned widths are rarely whole, and rounding them down costs accuracy; here they are
rounded up, by a `ChangeChannels` that takes the positions of each group's last unit several times. A repeated
unit computes what its original does, so that its values are as finite as before, and nothing reads it:

    sum_c W[:, c] x[c] + 0 * x[n]  =  sum_c W[:, c] x[c].

Padding does not always pay: a group whose layers would grow by more than a quarter is left as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, gcd, prod
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from compressor.base.errors import OracleError, UsageError
from compressor.channels import ChannelGraph, trace
from compressor.channels.components import Ids
from compressor.channels.cost import cost_model
from compressor.channels.graph import AxisMap
from compressor.channels.groups import ChannelGroup
from compressor.steps.channels import ChangeChannels
from compressor.steps.decisions import GroupDecision
from compressor.steps.plan import axis_change
from compressor.steps.shrink import step_difference

View = Callable[[nn.Module], nn.Module]

ALIGN_LIMIT: Final = 1e-5
"""Largest relative difference between the padded and the original model: summation order, nothing else."""

MAX_GROWTH: Final = 0.25
"""Largest relative growth of the multiply-adds of the layers that touch a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedGroup:
    """One group and its width, before and after.

    Attributes:
        name: of the group.
        before: channels that its first producer made.
        after: channels that it makes now; equal to ``before`` where the group was left alone.
        reason: why it was left at a width that is no multiple; empty where it was padded.
    """

    name: str
    before: int
    after: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignReport:
    """What padding did.

    Attributes:
        multiple: what widths were rounded up to.
        padded: groups that grew.
        left: groups whose width is no multiple, with the reason.
        macs_before: multiply-adds of the model, batch of one.
        macs_after: of the padded model.
        max_relative_difference: of the outputs, against the original; at most `ALIGN_LIMIT`.
    """

    multiple: int
    padded: tuple[PaddedGroup, ...]
    left: tuple[PaddedGroup, ...]
    macs_before: int
    macs_after: int
    max_relative_difference: float


def default_multiple(precision: Literal["fp32", "fp16", "int8"], device: str = "cpu") -> int:
    """Return the width of the blocks that kernels work on.

    On an accelerator: 8 values of fp16 or fp32 and 32 of int8 fill the tensor cores' 16-byte rows (NVIDIA,
    deep learning performance guide). On the CPU, ONNX Runtime blocks channels by the width of two vector
    registers: 16 with AVX-512 and 8 without; its integer kernels take 16.
    """
    if device != "cpu":
        return 32 if precision == "int8" else 8
    if precision == "int8":
        return 16
    return 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8


def pad_to_multiple(
    model: nn.Module,
    inputs: Sequence[Tensor],
    multiple: int,
    *,
    view: View = lambda model: model,
    max_growth: float = MAX_GROWTH,
) -> tuple[nn.Module, AlignReport]:
    """Return a copy of ``model`` whose channel groups are padded up to multiples, and what was done.

    Frozen groups, groups under a norm over channels and groups where it does not pay stay as they are.

    Args:
        model: the module, which is not changed.
        inputs: example inputs of the view, batch of one.
        multiple: of channels.
        view: what to trace and compare instead of the model itself, with the same parameter names.
        max_growth: how much the layers of a group may grow, as a share of their multiply-adds.

    Raises:
        UsageError: ``multiple`` is below one.
        TraceError: the model cannot be traced.
        OracleError: the padded model does not run, or computes something else.
    """
    if multiple < 1:
        raise UsageError(f"cannot align widths to multiples of {multiple}", "give a number from 1.")
    graph = trace(view(model), inputs)
    decisions = {index: _decide(graph, index, multiple, max_growth) for index in _ragged(graph, multiple)}
    growth = {i: extra for i, (group, extra) in decisions.items() if extra}
    sizes, cost = _sizes(graph), cost_model(graph)
    grown = sizes + np.array([growth.get(i, 0) for i in range(len(sizes))])
    step = widening(graph, growth)
    return step.shrink(model), AlignReport(
        multiple=multiple,
        padded=tuple(group for group, extra in decisions.values() if extra),
        left=tuple(group for group, extra in decisions.values() if not extra),
        macs_before=cost(sizes).macs,
        macs_after=cost(grown).macs,
        max_relative_difference=_compared(view(model), step, inputs),
    )


def widening(graph: ChannelGraph, growth: dict[int, int]) -> ChangeChannels:
    """Return the step after which group g has ``growth[g]`` more units, which nothing reads."""
    takes: dict[tuple[int, ...], int] = {}
    changes = []
    for entry in graph.axes:
        positions = _repeated(entry, growth, graph)
        if len(positions) > entry.size:
            changes.append(axis_change(entry, positions, takes))
    return ChangeChannels(
        decisions=tuple(_grown(graph.groups[index], extra) for index, extra in growth.items()),
        takes=tuple(takes),
        changes=tuple(changes),
        lossless=True,
    )


def _grown(group: ChannelGroup, extra: int) -> GroupDecision:
    kept = group.size + extra
    return GroupDecision(name=group.name, size=group.size, requested=kept, kept=kept, reason="padded")


def _repeated(entry: AxisMap, growth: dict[int, int], graph: ChannelGraph) -> list[int]:
    """Return an axis's positions with those of every growing group's last unit repeated.

    The positions of a unit that lie side by side are repeated together: a flattened channel is a block.
    """
    positions: list[int] = []
    last = {index: graph.groups[index].size - 1 for index in growth}
    start = 0
    while start < entry.size:
        group, unit = int(entry.group[start]), int(entry.unit[start])
        stop = start + 1
        while stop < entry.size and entry.group[stop] == group and entry.unit[stop] == unit:
            stop += 1
        times = 1 + growth[group] if last.get(group) == unit else 1
        positions += list(range(start, stop)) * times
        start = stop
    return positions


def _ragged(graph: ChannelGraph, multiple: int) -> list[int]:
    """Return the groups with a producer whose width is no multiple; outputs of the model are nobody's."""
    return [
        index
        for index, group in enumerate(graph.groups)
        if group.producers and group.consumers and _width(graph, index) % multiple
    ]


def _decide(graph: ChannelGraph, index: int, multiple: int, max_growth: float) -> tuple[PaddedGroup, int]:
    """Return what happens to a group, and the number of units to add."""
    group, width = graph.groups[index], _width(graph, index)
    per_unit = width // group.size
    step = multiple // gcd(per_unit, multiple)
    extra = ceil(group.size / step) * step - group.size
    reason = _refusal(graph, index) or _too_dear(graph, index, extra, max_growth)
    grown = 0 if reason else extra
    after = width + grown * per_unit
    return PaddedGroup(name=group.name, before=width, after=after, reason=reason), grown


def _refusal(graph: ChannelGraph, index: int) -> str:
    group = graph.groups[index]
    if group.frozen or group.inexact:
        return str(group.frozen or group.inexact)
    if _producer(graph, index).groups != [index]:
        return f"{group.producers[0]} makes other channels as well"
    if group.size == 1:
        return "one unit alone: the order of its channels is not known"
    return ""


def _too_dear(graph: ChannelGraph, index: int, extra: int, max_growth: float) -> str:
    """Say by how much the layers that touch a group would grow, where that is too much."""
    cost, sizes = cost_model(graph), _sizes(graph)
    grown = sizes.copy()
    grown[index] += extra
    touching = {entry.tensor for entry in graph.touching[index]}
    mine = sum(graph.positions.get(n, 0) * prod(shape) for n, shape in graph.shapes.items() if n in touching)
    growth = (cost(grown).macs - cost(sizes).macs) / max(mine, 1)
    return f"its layers would grow by {growth:.0%}" if growth > max_growth else ""


def _sizes(graph: ChannelGraph) -> Ids:
    return np.array([group.size for group in graph.groups], dtype=np.int64)


def _width(graph: ChannelGraph, index: int) -> int:
    """Return how many channels of a group its first producer makes."""
    return int((_producer(graph, index).group == index).sum())


def _producer(graph: ChannelGraph, index: int) -> AxisMap:
    group: ChannelGroup = graph.groups[index]
    return next(e for e in graph.touching[index] if e.role == "producer" and e.tensor == group.producers[0])


def _compared(model: nn.Module, step: ChangeChannels, inputs: Sequence[Tensor]) -> float:
    """Return how far the padded model is from the original."""
    try:
        difference = step_difference(model, step, inputs, "the padded model")
    except OracleError as error:
        raise OracleError(error.message, _HINT) from error
    if not difference <= ALIGN_LIMIT:
        raise OracleError(
            f"the padded model differs from the original by {difference:.2e} (limit {ALIGN_LIMIT})", _HINT
        )
    return difference


_HINT = "the forward pass may use fixed channel numbers; export without --align."
