"""What layers read of units, and statistics of every two units of it.

What happens to a channel between the layer that makes it and those that read it - norms, activations, sums
with other layers, pooling - decides whether one may stand for another. So maps are taken where they are read.
They are reduced as they appear; what is kept is one matrix (units, units) per group.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from compressor.base.errors import UsageError
from compressor.base.modes import evaluation
from compressor.channels.graph import SELF_EDITING, AxisMap, ChannelGraph, module_of
from compressor.criteria.view import Statistics, positions_of
from compressor.methods.means import Means
from compressor.tasks.task import Batch, Task


@runtime_checkable
class PairReducer(Protocol):
    """A criterion that compares the maps of units with each other; it needs :attr:`Stat.PAIRS`."""

    def compare(self, maps: Tensor) -> Tensor:
        """Return a mean over images, (images, units, positions) -> (units, units)."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """Where units of one group are read: the positions of each along one axis of a layer's weight."""

    group: int
    layer: str
    width: int
    positions: Tensor | None

    def maps(self, x: Tensor) -> Tensor:
        """Return what the layer reads of each unit, (images, units, positions).

        A grouped convolution's weight names each position once, the input has it once per group.
        """
        parts = x.reshape(len(x), -1, self.width, x[0, 0].numel())
        if self.positions is not None:
            chosen = parts.index_select(2, self.positions.reshape(-1).to(x.device))
            parts = chosen.unflatten(2, tuple(self.positions.shape)).transpose(2, 3).flatten(1, 2)
        maps = parts.transpose(1, 2).flatten(2)
        # One number per unit, as behind global pooling, varies over images only.
        return maps if maps.shape[2] > 1 else maps.transpose(0, 2)


def pairs_read(
    model: nn.Module, graph: ChannelGraph, reducer: PairReducer, batches: Iterable[Batch] | None, task: Task
) -> Statistics:
    """Return what a criterion makes of every two units of each free group.

    Args:
        model: left as it is.
        graph: of the model.
        reducer: the criterion.
        batches: of the training split; None if no data was given.
        task: how the model is run on them.

    Raises:
        UsageError: there are no images, or the maps cannot be compared.
    """
    if batches is None:
        raise UsageError(
            "feature maps can only be compared on images, and there is no data",
            "give training images with --data, for instance --data digits.",
        )
    means = Means[int]()
    with evaluation(model), torch.no_grad(), ExitStack() as stack:
        for layer, readings in _readings(model, graph).items():
            hook = partial(_compared, readings, reducer, means)
            stack.enter_context(model.get_submodule(layer).register_forward_pre_hook(hook))
        for batch in batches:
            task.scoring.run(model, batch)
    found = means.result()
    if not found:
        raise UsageError(
            "no feature maps were collected", "give at least one image and a model with convolutions."
        )
    return Statistics(pairs=found)


def _compared(
    readings: list[_Reading],
    reducer: PairReducer,
    means: Means[int],
    layer: nn.Module,
    args: tuple[object, ...],
) -> None:
    """Forward pre-hook of a layer that reads units."""
    x = args[0] if args else None
    if not isinstance(x, Tensor) or not x.numel():  # a detector without proposals, say
        return
    given = x.movedim(-1, 1) if isinstance(layer, nn.Linear) else x
    for reading in readings:
        maps = reading.maps(given)
        if maps.shape[2] == 1:  # one number, of one image
            continue
        try:
            values = reducer.compare(maps)
        except UsageError as error:
            raise UsageError(f"{error.message}: the input of {reading.layer}", error.hint) from error
        means.add(reading.group, values, len(x))


def _readings(model: nn.Module, graph: ChannelGraph) -> dict[str, list[_Reading]]:
    """Return layer -> the free groups that it reads; of layers whose input carries channels in order."""
    layers, found = dict(model.named_modules()), dict[str, list[_Reading]]()
    for entry, index in consumers(graph):
        name = module_of(entry.tensor)
        if SELF_EDITING in entry.tensor or isinstance(layers.get(name), _ConvNd | nn.Linear):
            positions = positions_of(entry, index, graph.groups[index].size)
            found.setdefault(name, []).append(_Reading(index, name, entry.size, positions))
    return found


def consumers(graph: ChannelGraph) -> Iterator[tuple[AxisMap, int]]:
    """Yield the axes that read units of free groups, once for each such group, and the group's index."""
    free = set(graph.free)
    for entry in graph.axes:
        if entry.role == "consumer":
            yield from ((entry, index) for index in entry.groups if index in free)
