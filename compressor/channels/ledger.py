"""What tracing writes down: ids, which of them are one, and which must stay."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from compressor.channels.components import Ids

NONE = 0
"""The id of values that belong to no channel: zero padding, constants."""

Role = Literal["producer", "consumer", "depthwise", "norm", "other"]


@dataclass(slots=True)
class Axis:
    """One axis of one parameter or buffer, and the ids of its positions.

    Attributes:
        tensor: name of the parameter or buffer, or ``module:side`` for a module that edits itself.
        axis: axis number.
        ids: one id per position; an axis that only follows channels shares the ids of who made them.
        role: what the axis does with the channels.
    """

    tensor: str
    axis: int
    ids: Ids
    role: Role = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenCost:
    """What weights inside a self-tracing module cost, for every combination of positions on ``sides``.

    A convolution from side ``in`` to side ``out`` has, for every pair of channels, its kernel's area in
    parameters, and that times the positions of its output in MACs; its bias one parameter per channel of
    ``out``. What does not depend on channels has no sides.

    Attributes:
        sides: sides of the module; in a channel graph, names of axes (``module:side``).
        params: parameter elements per combination.
        macs: multiply-adds of convolutions and linear products per combination, for one image.
    """

    sides: tuple[str, ...] = ()
    params: int
    macs: int = 0


@dataclass(slots=True)
class Ledger:
    """The running record of one trace; :mod:`compressor.channels.graph` closes it into a graph."""

    axes: list[Axis] = field(default_factory=list)
    next_id: int = 1
    positions: dict[str, int] = field(default_factory=dict)
    hidden: dict[str, tuple[HiddenCost, ...]] = field(default_factory=dict)
    _edges: list[tuple[Ids, Ids]] = field(default_factory=list)
    _frozen: list[tuple[Ids, str]] = field(default_factory=list)
    _inexact: list[tuple[Ids, str]] = field(default_factory=list)

    def issue(self, tensor: str, axis: int, size: int) -> Axis:
        """Give ``size`` fresh ids to an axis."""
        fresh = np.arange(self.next_id, self.next_id + size, dtype=np.int64)
        self.next_id += size
        return self.bind(tensor, axis, fresh)

    def bind(self, tensor: str, axis: int, ids: Ids) -> Axis:
        """Give an axis ids that exist."""
        entry = Axis(tensor, axis, ids)
        self.axes.append(entry)
        return entry

    def unite(self, left: Tensor, right: Tensor, where: str) -> None:
        """Record that ids live or die together, position by position after broadcasting.

        An id that meets :data:`NONE` cannot be removed, because its partner's position would remain.
        """
        a, b = (t.reshape(-1).numpy() for t in torch.broadcast_tensors(left, right))
        differ = a != b
        a, b = a[differ], b[differ]
        constant = (a == NONE) | (b == NONE)
        if constant.any():
            met = np.maximum(a[constant], b[constant])
            self._frozen.append((np.unique(met), f"joined with constant channels in {where}"))
            a, b = a[~constant], b[~constant]
        if a.size:
            self._edges.append((a, b))

    def freeze(self, ids: Tensor, reason: str) -> None:
        """Record that none of these ids may be removed, and why."""
        self._frozen.append((_distinct(ids), reason))

    def mark_inexact(self, ids: Tensor, reason: str) -> None:
        """Record that removing these ids changes what the remaining channels compute."""
        self._inexact.append((_distinct(ids), reason))

    def weigh(self, module: str, costs: Sequence[HiddenCost]) -> None:
        """Record what one run of a self-tracing module costs; a second run needs no second parameters."""
        before = [cost.macs for cost in self.hidden.get(module, ())] or [0] * len(costs)
        pairs = zip(costs, before, strict=True)
        self.hidden[module] = tuple(replace(cost, macs=cost.macs + macs) for cost, macs in pairs)

    def edges(self) -> tuple[Ids, Ids]:
        """Return all recorded pairs, as two arrays."""
        if not self._edges:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty
        left, right = zip(*self._edges, strict=True)
        return np.concatenate(left), np.concatenate(right)

    def reasons_by_label(self, label: Ids) -> tuple[dict[int, str], dict[int, str]]:
        """Return the first reason to freeze, and to call inexact, for each component label."""
        return _first_reasons(self._frozen, label), _first_reasons(self._inexact, label)


def _distinct(ids: Tensor) -> Ids:
    found: Ids = np.unique(ids.reshape(-1).numpy())
    distinct: Ids = found[found != NONE]
    return distinct


def _first_reasons(entries: list[tuple[Ids, str]], label: Ids) -> dict[int, str]:
    reasons: dict[int, str] = {}
    for ids, reason in entries:
        for root in np.unique(label[ids]).tolist():
            reasons.setdefault(root, reason)
    return reasons
