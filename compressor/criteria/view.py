"""What a criterion sees of a group: for each member tensor, one row per unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import torch
from torch import Tensor, nn

from compressor.channels.graph import AxisMap, ChannelGraph
from compressor.channels.ledger import Role
from compressor.errors import UsageError


class Stat(Enum):
    """Statistics that need data; collected once, before any group is scored."""

    GRADIENTS = "gradients"
    ACTIVATIONS = "activations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What was collected from data.

    Attributes:
        gradients: mean loss gradient of each parameter over the collected images.
        features: name of a layer's weight -> what the criterion made of each of its output channels,
            (channels,), averaged over the collected images.
    """

    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One tensor of a group, one row per unit.

    Attributes:
        tensor: its name.
        role: what the axis does with the channels.
        rows: (units, everything else), detached.
        gradient: same shape, or None where gradients were not collected.
        shape: shape of the slice at one position of the axis, (in, kh, kw) for the output of a convolution;
            a row holds one such slice per position of its unit, in order.
        features: statistic of each unit's feature maps, (units,), or None where none was collected.
    """

    tensor: str
    role: Role
    rows: Tensor
    gradient: Tensor | None = None
    shape: tuple[int, ...] = ()
    features: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group as a criterion sees it.

    Attributes:
        name: the group's name.
        size: number of units.
        members: all tensors that carry the units.
    """

    name: str
    size: int
    members: tuple[Member, ...]

    def having(self, *roles: Role) -> list[Member]:
        """Return the members with one of these roles."""
        return [m for m in self.members if m.role in roles]

    @property
    def filters(self) -> list[Member]:
        """Weights that make the channels: convolutions, linear layers and depthwise convolutions."""
        return self.having("producer", "depthwise")


def group_view(model: nn.Module, graph: ChannelGraph, index: int, statistics: Statistics) -> GroupView:
    """Return the view of one group of a traced model."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    group = graph.groups[index]
    members = [
        _member(entry, index, group.size, tensors[entry.tensor], statistics)
        for entry in graph.touching[index]
        if entry.tensor in tensors
    ]
    return GroupView(name=group.name, size=group.size, members=tuple(members))


def _member(entry: AxisMap, index: int, size: int, tensor: Tensor, statistics: Statistics) -> Member:
    positions = torch.from_numpy(_positions(entry, index, size)).to(tensor.device)
    gradient = statistics.gradients.get(entry.tensor)
    makes = entry.role in ("producer", "depthwise")
    features = statistics.features.get(entry.tensor) if makes else None
    return Member(
        tensor=entry.tensor,
        role=entry.role,
        rows=_rows(tensor.detach(), entry.axis, positions),
        gradient=None if gradient is None else _rows(gradient, entry.axis, positions),
        shape=(*tensor.shape[: entry.axis], *tensor.shape[entry.axis + 1 :]),
        features=None if features is None else _rows(features, 0, positions).mean(dim=1),
    )


def _positions(entry: AxisMap, index: int, size: int) -> np.ndarray:
    """Return the positions of each unit along the axis, (units, positions per unit)."""
    mine = np.flatnonzero(entry.group == index)
    order = np.argsort(entry.unit[mine], kind="stable")
    return np.asarray(mine[order].reshape(size, -1))


def _rows(tensor: Tensor, axis: int, positions: Tensor) -> Tensor:
    taken = tensor.movedim(axis, 0).index_select(0, positions.reshape(-1))
    return taken.reshape(positions.shape[0], -1).float()


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
