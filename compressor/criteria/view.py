"""What a criterion sees of a group: for each member tensor, one row per unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.channels.graph import AxisMap, ChannelGraph
from compressor.channels.ledger import Role


class Stat(Enum):
    """Statistics that need data; collected once, before any group is scored."""

    GRADIENTS = "gradients"
    ACTIVATIONS = "activations"
    PAIRS = "pairs"
    SPREADS = "spreads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the inputs of one layer vary together.

    Attributes:
        gram: mean product of every two of its inputs, one per column of the weight of an output,
            (groups, columns, columns), float64; around their means where the layer can take a constant.
        scale: what the norm behind the layer multiplies each output by, (outputs,); ones without.
        mean: of its inputs, (groups, columns), float64; None where the layer cannot take a constant.
    """

    gram: Tensor
    scale: Tensor
    mean: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What was collected from data.

    Attributes:
        gradients: mean loss gradient of each parameter over the collected images.
        features: name of a layer's weight -> what the criterion made of each of its output channels,
            (channels,), averaged over the collected images.
        pairs: group index -> what the criterion made of the maps that layers read of every two units,
            (units, units), averaged over the collected images and those layers.
        spreads: name of a layer's weight -> how its inputs vary together.
    """

    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)
    pairs: Mapping[int, Tensor] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One tensor of a group; rows are taken out of it when a criterion asks for them.

    Attributes:
        tensor: its name.
        role: what the axis does with the channels.
        values: the whole tensor, detached.
        axis: the axis that carries the units.
        positions: positions of each unit along it, (units, positions per unit); None where they are one.
        gradients: loss gradient of the whole tensor, or None where none was collected.
        features: statistic of each unit's feature maps, (units,), or None where none was collected.
        spread: how the inputs of a layer that reads the units vary together, or None where that is not known.
    """

    tensor: str
    role: Role
    values: Tensor
    axis: int = 0
    positions: Tensor | None = None
    gradients: Tensor | None = None
    features: Tensor | None = None
    spread: Spread | None = None

    @property
    def rows(self) -> Tensor:
        """The weights of each unit, (units, everything else)."""
        return self._rows(self.values)

    @property
    def gradient(self) -> Tensor | None:
        """The gradient in the shape of ``rows``."""
        return None if self.gradients is None else self._rows(self.gradients)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the slice at one position, (in, kh, kw) for the output axis of a convolution.

        A row holds one such slice per position of its unit, in order.
        """
        return (*self.values.shape[: self.axis], *self.values.shape[self.axis + 1 :])

    def _rows(self, tensor: Tensor) -> Tensor:
        slices = tensor.movedim(self.axis, 0)
        if self.positions is None:
            return slices.reshape(len(slices), -1).float()
        return slices.index_select(0, self.positions.reshape(-1)).reshape(len(self.positions), -1).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group as a criterion sees it.

    Attributes:
        name: the group's name.
        size: number of units.
        members: all tensors that carry the units.
        pairs: statistic of every two units, (units, units), or None where none was collected.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    pairs: Tensor | None = None

    def having(self, *roles: Role) -> list[Member]:
        """Return the members with one of these roles."""
        return [m for m in self.members if m.role in roles]

    @property
    def filters(self) -> list[Member]:
        """Weights that make the channels: convolutions, linear layers and depthwise convolutions."""
        return self.having("producer", "depthwise")


def group_view(
    tensors: Mapping[str, Tensor], graph: ChannelGraph, index: int, statistics: Statistics
) -> GroupView:
    """Return the view of one group of a traced model, given its parameters and buffers by name."""
    group = graph.groups[index]
    members = [
        _member(entry, index, group.size, tensors[entry.tensor], statistics)
        for entry in graph.touching[index]
        if entry.tensor in tensors
    ]
    pairs = statistics.pairs.get(index)
    return GroupView(name=group.name, size=group.size, members=tuple(members), pairs=pairs)


def _member(entry: AxisMap, index: int, size: int, tensor: Tensor, statistics: Statistics) -> Member:
    positions = positions_of(entry, index, size)
    makes = entry.role in ("producer", "depthwise")
    features = statistics.features.get(entry.tensor) if makes else None
    return Member(
        tensor=entry.tensor,
        role=entry.role,
        values=tensor.detach(),
        axis=entry.axis,
        positions=None if positions is None else positions.to(tensor.device),
        gradients=statistics.gradients.get(entry.tensor),
        features=_of_units(features, positions),
        spread=statistics.spreads.get(entry.tensor) if entry.role == "consumer" else None,
    )


def _of_units(features: Tensor | None, positions: Tensor | None) -> Tensor | None:
    if features is None or positions is None:
        return None if features is None else features.float()
    return features[positions].mean(dim=1).float()


def positions_of(entry: AxisMap, index: int, size: int) -> Tensor | None:
    """Return the positions of each unit along the axis, (units, positions per unit), None if they are one."""
    if entry.size == size and np.array_equal(entry.unit, np.arange(size)):
        return None
    mine = np.flatnonzero(entry.group == index)
    order = np.argsort(entry.unit[mine], kind="stable")
    return torch.from_numpy(mine[order].reshape(size, -1))


def mean_over(members: Sequence[Member], scores: Sequence[Tensor], size: int) -> Tensor:
    """Average the scores that several members give the same units; ones if there is no member."""
    if not members:
        return torch.ones(size)
    return torch.stack(list(scores)).mean(dim=0)


def features_of(member: Member) -> Tensor:
    """Return the statistic of a member's feature maps, (units,).

    Raises:
        UsageError: none was collected.
    """
    if member.features is None:
        raise UsageError(
            f"no feature maps were collected for {member.tensor}",
            "give training images with --data; only nn.Conv and nn.Linear layers that run have maps.",
        )
    return member.features
