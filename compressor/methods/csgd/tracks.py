"""What decides which units of a group may become one, and whether they can be trained together at all."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from torch import nn

from compressor.base.errors import UsageError
from compressor.channels.graph import SELF_EDITING, AxisMap, ChannelGraph
from compressor.channels.pad import ChannelPad
from compressor.methods.csgd.ties import Grouped, Tie, deviations

_COUNTED = ("running_mean", "running_var")
"""What nobody trains, and what follows the channels by itself."""


def pacesetter(graph: ChannelGraph, index: int) -> str:
    """Return the weight by which the units of a group are put into clusters.

    Of the layers of a residual stage that is the one whose input was there first: the projection of its
    first block, or where there is none the layer before the first block.

    Raises:
        UsageError: a module makes the channels whose weights nobody else sees.
    """
    group = graph.groups[index]
    makers = [name for name in group.producers if SELF_EDITING not in name]
    if not makers:
        raise _hidden(group.name, group.producers[0])
    reads = {
        entry.tensor: min(i if graph.groups[i].producers else -1 for i in entry.groups)
        for entry in graph.axes
        if entry.role == "consumer"
    }
    return min(makers, key=lambda name: reads.get(name, -1))


def alike(
    model: nn.Module, graph: ChannelGraph, index: int, clusters: Mapping[int, Grouped]
) -> list[list[int]]:
    """Return the units of a group in sets within which they may become equal; usually that is one set.

    A shortcut that pads moves the channels of an earlier stage, or zeros, into those of this one: units whose
    shortcuts carry what stays different do not become equal.

    Args:
        model: what was traced.
        graph: the traced model.
        index: of the group.
        clusters: of the groups before it that lose units.

    Raises:
        UsageError: a module makes channels of the group in ways that nobody else knows.
    """
    home = {(g, u): cluster[0] for g, found in clusters.items() for cluster in found for u in cluster}
    axes = {entry.tensor: entry for entry in graph.axes if SELF_EDITING in entry.tensor}
    arriving: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for side in (name for name in graph.groups[index].producers if SELF_EDITING in name):
        path = side.split(SELF_EDITING, maxsplit=1)[0]
        module = model.get_submodule(path)
        if not isinstance(module, ChannelPad):
            raise _hidden(graph.groups[index].name, side)
        for unit, source in _moved(axes[side], axes[f"{path}{SELF_EDITING}in"], module, index):
            arriving[unit].append((source[0], home.get(source, source[1])))
    found: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for unit in range(graph.groups[index].size):
        found[tuple(arriving[unit])].append(unit)
    return list(found.values())


def _moved(
    leaving: AxisMap, entering: AxisMap, module: ChannelPad, index: int
) -> Iterable[tuple[int, tuple[int, int]]]:
    """Yield units of a group, and the group and unit that are moved there; (-1, -1) stands for zeros."""
    for position in np.flatnonzero(leaving.group == index).tolist():
        source = module.source[position]
        moved = (int(entering.group[source]), int(entering.unit[source])) if source >= 0 else (-1, -1)
        yield int(leaving.unit[position]), moved


def shares(sets: Sequence[Sequence[int]], count: int, name: str) -> list[int]:
    """Return how many units of each set survive: ``count`` in all, at least one each, in proportion.

    Raises:
        UsageError: there are more sets than units that survive.
    """
    if count < len(sets):
        raise UsageError(
            f"{name}: {count} units are too few for {len(sets)} different channels that its shortcut carries",
            f"cut the layers before the shortcut as well, or keep this one whole: --keep {name}.",
        )
    kept = [1] * len(sets)
    for _ in range(count - len(sets)):
        kept[max(range(len(sets)), key=lambda i: len(sets[i]) / kept[i] * (kept[i] < len(sets[i])))] += 1
    return kept


def require_trained(
    model: nn.Module, graph: ChannelGraph, ties: Sequence[Tie], groups: Collection[int]
) -> None:
    """Refuse what training cannot draw together: hidden weights, and frozen ones that are not equal yet.

    Raises:
        UsageError: naming the first of them.
    """
    hidden = {side for cost in graph.hidden if cost.params for side in cost.sides}
    for index in groups:
        for entry in graph.touching[index]:
            if entry.tensor in hidden and entry.role != "consumer":
                raise _hidden(graph.groups[index].name, entry.tensor)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    fixed = [tie for tie in ties if tie.tensor not in trained and not tie.tensor.endswith(_COUNTED)]
    homes = {entry.tensor: graph.groups[i].name for i in groups for entry in graph.touching[i]}
    for name, apart, _ in deviations(model, fixed):
        if apart > 0:
            raise UsageError(
                f"{name} is not trained, so that its channels cannot become equal",
                f"keep them whole: --keep {homes[name]}; or let them be trained.",
            )


def require_exact(graph: ChannelGraph, groups: Collection[int]) -> None:
    """Refuse units that count where they are read: equal ones are not the same as one.

    Raises:
        UsageError: naming the first group of them.
    """
    for group in (graph.groups[index] for index in groups):
        if group.inexact:
            raise UsageError(
                f"{group.name} cannot be trimmed without loss, however equal its channels: {group.inexact}",
                "leave out --allow-inexact, or accept a loss: --option loss=0.1.",
            )


def _hidden(group: str, side: str) -> UsageError:
    module = side.split(SELF_EDITING, maxsplit=1)[0]
    return UsageError(
        f"the weights of {module} are its own affair, so that they cannot be drawn together",
        f"keep its channels whole: --keep {group}.",
    )
