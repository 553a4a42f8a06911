"""Ties: which positions of which tensors must become equal so that channels become equal.

A cluster is one of units; a unit has positions along every axis that carries it: its filter in each layer of
a residual stage, the scale and shift of its norm there, its kernel in a depthwise convolution, its place in
the norm behind a concatenation. Consumers are not tied: they may read each of equal channels as they like.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from compressor.base.modules import named_tensors
from compressor.channels.graph import SELF_EDITING, AxisMap, ChannelGraph

Grouped = tuple[tuple[int, ...], ...]
Kind = Literal["kernel", "vector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """One axis of one tensor.

    Attributes:
        tensor: parameter or buffer.
        axis: axis number.
        kind: ``kernel``, what makes channels of others; or ``vector``, what scales, shifts or counts them.
        clusters: positions that must become equal; all positions, many of them alone.
    """

    tensor: str
    axis: int
    kind: Kind
    clusters: Grouped

    def rows(self, tensor: Tensor) -> Tensor:
        """Return the tensor as (positions, everything else)."""
        moved = tensor.detach().movedim(self.axis, 0)
        return moved.reshape(len(moved), -1)

    def put(self, tensor: Tensor, rows: Tensor) -> None:
        """Write rows back into the tensor."""
        tensor.copy_(rows.reshape(tensor.movedim(self.axis, 0).shape).movedim(0, self.axis))

    def labels(self) -> Tensor:
        """Return the cluster of each position, (positions,)."""
        labels = torch.empty(sum(map(len, self.clusters)), dtype=torch.long)
        for number, positions in enumerate(self.clusters):
            labels[list(positions)] = number
        return labels

    def centres(self, rows: Tensor) -> Tensor:
        """Return the mean of each position's cluster, of the shape of ``rows``, in float64."""
        labels = self.labels().to(rows.device)
        sums = rows.new_zeros(len(self.clusters), rows.shape[1], dtype=torch.float64)
        sums.index_add_(0, labels, rows.double())
        return (sums / labels.bincount()[:, None])[labels]


def ties_of(graph: ChannelGraph, clusters: Mapping[int, Sequence[Sequence[int]]]) -> tuple[Tie, ...]:
    """Return what must become equal.

    Args:
        graph: the traced model.
        clusters: group index -> clusters of its units; other groups are left alone.
    """
    home = {(g, u): number for g, found in clusters.items() for number, us in enumerate(found) for u in us}
    return tuple(
        Tie(tensor=entry.tensor, axis=entry.axis, kind=_kind(entry), clusters=_positions(entry, home))
        for entry in graph.axes
        if entry.role != "consumer" and _is_tensor(entry) and not clusters.keys().isdisjoint(entry.groups)
    )


def _is_tensor(entry: AxisMap) -> bool:
    return SELF_EDITING not in entry.tensor and not entry.tensor.startswith("input ")


def _kind(entry: AxisMap) -> Kind:
    return "kernel" if entry.role in ("producer", "depthwise") else "vector"


def _positions(entry: AxisMap, home: Mapping[tuple[int, int], int]) -> Grouped:
    """Return the positions of an axis by cluster; of units with several, the n-th become equal."""
    met: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, ...], list[int]] = {}
    for position, unit in enumerate(zip(entry.group.tolist(), entry.unit.tolist(), strict=True)):
        rank = met[unit] = met.get(unit, -1) + 1
        key = (unit[0], home[unit], rank) if unit in home else (-1, position)
        found.setdefault(key, []).append(position)
    return tuple(map(tuple, found.values()))


def deviations(model: nn.Module, ties: Sequence[Tie]) -> Iterator[tuple[str, float, float]]:
    """Yield tensor, squared distance to the cluster means, and squared length, of what must become equal."""
    tensors = named_tensors(model)
    for tie in ties:
        rows = tie.rows(tensors[tie.tensor])
        apart = (rows - tie.centres(rows)).square().sum()
        yield tie.tensor, float(apart), float(rows.double().square().sum())


def distance(model: nn.Module, ties: Sequence[Tie]) -> float:
    """Return how far filters are from their clusters' means, relative to their length: 0 where collapsed."""
    found = list(deviations(model, ties))
    length = sum(length for _, _, length in found)
    return float((sum(apart for _, apart, _ in found) / length) ** 0.5) if length else 0.0


def farthest(model: nn.Module, ties: Sequence[Tie]) -> tuple[str, float]:
    """Return the tensor that is farthest from collapsed, relative to its length, and how far."""
    found = [(name, (apart / length) ** 0.5) for name, apart, length in deviations(model, ties) if length]
    return max(found, key=lambda pair: pair[1], default=("", 0.0))


@torch.no_grad()
def collapse(model: nn.Module, ties: Sequence[Tie]) -> None:
    """Set everything to its cluster's mean, in place: what training would reach, without what it learns."""
    tensors = named_tensors(model)
    for tie in ties:
        rows = tie.rows(tensors[tie.tensor])
        tie.put(tensors[tie.tensor], tie.centres(rows).to(rows.dtype))
