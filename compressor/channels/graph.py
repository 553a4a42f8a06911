"""The channel graph: which units exist, which axes they touch, and what they cost."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compressor.base.errors import TraceError
from compressor.channels.components import Ids, smallest_members
from compressor.channels.groups import ChannelGroup
from compressor.channels.ledger import Axis, HiddenCost, Ledger, Role

SELF_EDITING = ":"
"""Separates module and side in the name of an axis that is not a tensor's (``layer2.0.shortcut:in``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisMap:
    """Which unit each position of one axis belongs to.

    Attributes:
        tensor: parameter or buffer name, or ``module:side``.
        axis: axis number.
        role: what the axis does with the channels.
        group: index of the group of each position; (positions,).
        unit: index of the unit inside its group; (positions,).
    """

    tensor: str
    axis: int
    role: Role
    group: Ids
    unit: Ids

    @property
    def size(self) -> int:
        """Number of positions."""
        return int(self.group.size)

    @property
    def groups(self) -> list[int]:
        """Indices of the groups that it carries; nearly always one."""
        first = int(self.group[0])
        return [first] if (self.group == first).all() else np.unique(self.group).tolist()


@dataclass(frozen=True)
class ChannelGraph:
    """Everything that pruning needs to know of a model's structure.

    Attributes:
        groups: free and frozen groups, in execution order of their first producer.
        axes: maps of every axis that the trace met.
        shapes: shape of every parameter that the trace met.
        positions: how often each element of a weight is multiplied for one image.
        hidden: what self-tracing modules say that their own weights cost.
        fixed_params: elements of parameters that the trace never met and that no module answers for.
        unused: modules whose parameters were never touched.
    """

    groups: tuple[ChannelGroup, ...]
    axes: tuple[AxisMap, ...]
    shapes: dict[str, tuple[int, ...]]
    positions: dict[str, int]
    hidden: tuple[HiddenCost, ...]
    fixed_params: int
    unused: tuple[str, ...]

    @property
    def free(self) -> tuple[int, ...]:
        """Indices of the groups from which units may be removed."""
        return tuple(i for i, g in enumerate(self.groups) if g.frozen is None)

    @cached_property
    def by_producer(self) -> dict[str, int]:
        """Module path of a producer -> index of the group it makes."""
        return {module_of(p): i for i, g in enumerate(self.groups) for p in g.producers}

    @cached_property
    def touching(self) -> dict[int, tuple[AxisMap, ...]]:
        """Group index -> the axes that carry its units."""
        found: dict[int, list[AxisMap]] = {i: [] for i in range(len(self.groups))}
        for entry in self.axes:
            for index in entry.groups:
                found[index].append(entry)
        return {index: tuple(entries) for index, entries in found.items()}

    def explain(self) -> str:
        """Return the groups as text: size, who produces and reads them, and why they are frozen."""
        return "\n".join(_explained(g) for g in self.groups)


def module_of(tensor: str) -> str:
    """Return the module path of a parameter name, or of a ``module:side``."""
    if SELF_EDITING in tensor:
        return tensor.split(SELF_EDITING, maxsplit=1)[0]
    return tensor.rpartition(".")[0] or tensor


def _explained(group: ChannelGroup) -> str:
    state = f"  frozen: {group.frozen}" if group.frozen else ""
    state += f"  inexact: {group.inexact}" if group.inexact else ""
    made = ", ".join(module_of(p) for p in group.producers) or "-"
    read = ", ".join(module_of(c) for c in group.consumers) or "-"
    return f"{group.name}  {group.size} units{state}\n    made by {made}\n    read by {read}"


def close(ledger: Ledger, model: nn.Module) -> ChannelGraph:
    """Turn what was written down during a trace into units and groups."""
    axes = ledger.axes
    label = smallest_members(ledger.next_id, *ledger.edges())
    frozen, inexact = ledger.reasons_by_label(label)
    roots, unit_of_id = np.unique(label[1:], return_inverse=True)
    signature = _signatures(axes, unit_of_id, roots, frozen)
    _, first, group_of_unit = np.unique(signature, return_index=True, return_inverse=True)
    order = _execution_order(axes, first, group_of_unit, unit_of_id)
    group_of_unit = order[group_of_unit]
    place = _places(group_of_unit)
    maps = tuple(_map(entry, group_of_unit, place, unit_of_id) for entry in axes)
    reasons = _group_reasons(group_of_unit, roots, frozen), _group_reasons(group_of_unit, roots, inexact)
    groups = _groups(maps, np.bincount(group_of_unit), *reasons)
    return _graph(groups, maps, ledger, model)


def _signatures(axes: list[Axis], unit_of_id: Ids, roots: Ids, frozen: dict[int, str]) -> NDArray[np.uint64]:
    """Return one number per unit that is equal for units with the same axes, multiplicities and reason."""
    number = np.repeat(np.arange(len(axes)), [entry.ids.size for entry in axes])
    units = unit_of_id[np.concatenate([entry.ids for entry in axes]) - 1]
    pairs, counts = np.unique(units * len(axes) + number, return_counts=True)
    unit, axis = np.divmod(pairs, len(axes))
    salt = np.random.default_rng(0).integers(1, 2**63, size=len(axes), dtype=np.uint64)
    signature = np.zeros(len(roots), dtype=np.uint64)
    np.add.at(signature, unit, salt[axis] * (2 * counts.astype(np.uint64) + np.uint64(1)))
    kinds = {reason: n for n, reason in enumerate(dict.fromkeys(frozen.values()))}
    tags = np.random.default_rng(1).integers(1, 2**63, size=len(kinds), dtype=np.uint64)
    held = np.searchsorted(roots, list(frozen))
    np.add.at(signature, held, tags[[kinds[reason] for reason in frozen.values()]])
    return signature


def _execution_order(axes: list[Axis], first: Ids, group_of_unit: Ids, unit_of_id: Ids) -> Ids:
    """Return old group index -> new index, sorted by the first producing id, then by the first id."""
    count = len(first)
    key = np.full(count, np.iinfo(np.int64).max)
    fallback = np.full(count, np.iinfo(np.int64).max)
    group_of_id = group_of_unit[unit_of_id]
    np.minimum.at(fallback, group_of_id, np.arange(1, len(unit_of_id) + 1))
    for entry in axes:
        if entry.role == "producer":
            np.minimum.at(key, group_of_id[entry.ids - 1], entry.ids)
    order = np.empty(count, dtype=np.int64)
    order[np.lexsort((fallback, key))] = np.arange(count)
    return order


def _places(group_of_unit: Ids) -> Ids:
    """Return each unit's index inside its group, in order of ids."""
    place = np.empty_like(group_of_unit)
    by_group = np.argsort(group_of_unit, kind="stable")
    sizes = np.bincount(group_of_unit)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place[by_group] = np.arange(len(group_of_unit)) - starts
    return place


def _map(entry: Axis, group_of_unit: Ids, place: Ids, unit_of_id: Ids) -> AxisMap:
    units = unit_of_id[entry.ids - 1]
    return AxisMap(
        tensor=entry.tensor, axis=entry.axis, role=entry.role, group=group_of_unit[units], unit=place[units]
    )


def _group_reasons(group_of_unit: Ids, roots: Ids, reasons: dict[int, str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for root, reason in reasons.items():
        found.setdefault(int(group_of_unit[np.searchsorted(roots, root)]), reason)
    return found


def _groups(
    maps: tuple[AxisMap, ...], sizes: Ids, frozen: dict[int, str], inexact: dict[int, str]
) -> tuple[ChannelGroup, ...]:
    touching: list[list[AxisMap]] = [[] for _ in sizes]
    for entry in maps:
        for index in entry.groups:
            touching[index].append(entry)
    names: Counter[str] = Counter()
    return tuple(
        _group(names, touching[i], int(size), frozen.get(i), inexact.get(i)) for i, size in enumerate(sizes)
    )


def _group(
    names: Counter[str], maps: list[AxisMap], size: int, frozen: str | None, inexact: str | None
) -> ChannelGroup:
    producers = tuple(m.tensor for m in maps if m.role == "producer")
    consumers = tuple(m.tensor for m in maps if m.role == "consumer")
    if frozen is None and not producers:
        frozen = "no layer makes these channels"
    if frozen is None and not consumers:
        frozen = "no layer reads these channels"
    name = module_of(producers[0] if producers else maps[0].tensor)
    names[name] += 1
    return ChannelGroup(
        name=name if names[name] == 1 else f"{name}#{names[name]}",
        size=size,
        producers=producers,
        consumers=consumers,
        members=tuple(m.tensor if SELF_EDITING in m.tensor else f"{m.tensor}:{m.axis}" for m in maps),
        frozen=frozen,
        inexact=None if frozen else inexact,
    )


def _graph(
    groups: tuple[ChannelGroup, ...], maps: tuple[AxisMap, ...], ledger: Ledger, model: nn.Module
) -> ChannelGraph:
    met = {entry.tensor for entry in maps}
    named = dict(model.named_parameters())
    hidden = _hidden(ledger, maps, {name: p.numel() for name, p in named.items() if name not in met})
    answered = tuple(_inside(module) for module, costs in ledger.hidden.items() if costs)
    fixed = {n: p.numel() for n, p in named.items() if n not in met and not n.startswith(answered)}
    unused = {module_of(name) for name, elements in fixed.items() if elements > 1}
    return ChannelGraph(
        groups=groups,
        axes=maps,
        shapes={name: tuple(p.shape) for name, p in named.items() if name in met},
        positions=ledger.positions,
        hidden=hidden,
        fixed_params=sum(fixed.values()),
        unused=tuple(sorted(unused)),
    )


def _hidden(ledger: Ledger, maps: tuple[AxisMap, ...], unmet: dict[str, int]) -> tuple[HiddenCost, ...]:
    """Return what self-tracing modules say, by names of axes; what they say must fit what they have.

    Args:
        ledger: what was written down.
        maps: axes with their sizes.
        unmet: elements of every parameter that the trace itself did not meet.
    """
    sizes = {entry.tensor: entry.size for entry in maps if SELF_EDITING in entry.tensor}
    found = []
    for module, costs in ledger.hidden.items():
        named = [replace(c, sides=tuple(f"{module}{SELF_EDITING}{s}" for s in c.sides)) for c in costs]
        said = sum(cost.params * math.prod(sizes[side] for side in cost.sides) for cost in named)
        has = sum(elements for name, elements in unmet.items() if name.startswith(_inside(module)))
        if named and said != has:
            raise TraceError(
                f"{module or 'the model itself'} says that it hides {said} parameters, it has {has}",
                "correct its hidden_costs(): what it says is what pruning counts with.",
            )
        found += named
    return tuple(found)


def _inside(module: str) -> str:
    """Return what the names of a module's parameters begin with."""
    return f"{module}." if module else ""
