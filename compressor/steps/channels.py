"""Change channels: make every axis that carries changed units anew, from its old positions.

One step covers what can happen to channels. *Removing* takes the positions that survive; *merging* adds what
consumers read of one channel to what they read of another; *padding* repeats positions, which nothing reads.

    producer: W'[q] = W[take[q]]        consumer: W'[:, q] = sum of W[:, p] over p with into[p] = q

For y = sum_c W[:, c] x[c], dropping c and W[:, c] = 0 are the same whatever x[c] is; where x[c] = x[d], both
weights may read x[d]. The mask of the step writes the consumer's new columns where their channels were, and
zeros elsewhere.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final, cast

import torch
from torch import Tensor, nn

from compressor.base.errors import ArtifactError
from compressor.base.modules import copy_with, named_tensors
from compressor.base.text import foreign
from compressor.channels.graph import SELF_EDITING
from compressor.channels.tracer import SelfTracing
from compressor.steps import STEPS
from compressor.steps.attributes import refresh
from compressor.steps.decisions import GroupDecision

Positions = tuple[int, ...]

DROPPED: Final = -1
"""Where a position goes that no new one reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisChange:
    """One axis of one tensor.

    Attributes:
        tensor: parameter or buffer, or ``module:side``.
        axis: axis number.
        size: positions before.
        take: index into the step's ``takes``: the old position that each new one is made from.
        reads: True where a consumer reads the channels along this axis.
        into: index into the step's ``intos``: the new position that each old one adds to, or `DROPPED`. None
            where every position goes where it was first taken to, and the others are dropped.
    """

    tensor: str
    axis: int
    size: int
    take: int
    reads: bool
    into: int | None = None


@STEPS.register("change_channels")
@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeChannels:
    """Remove, merge or pad channels.

    Attributes:
        decisions: what was decided for each group, for people and reports.
        takes: lists of old positions, one per new position; most axes share one with others.
        changes: which axis is made by which list.
        intos: lists of new positions, one per old position; empty where nothing is merged.
        lossless: whether the result claims to compute what the model did.
    """

    kind: ClassVar[str] = "change_channels"
    decisions: tuple[GroupDecision, ...]
    takes: tuple[Positions, ...]
    changes: tuple[AxisChange, ...]
    intos: tuple[Positions, ...] = ()
    lossless: bool = False

    def check(self, model: nn.Module) -> None:
        """Refuse changes of tensors, axes or positions that the model does not have, and changes made twice.

        Raises:
            ArtifactError: naming the first of them.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in named_tensors(model).items()}
        places = [(entry.tensor, entry.axis) for entry in self.changes]
        if len(set(places)) < len(places):
            raise ArtifactError("an axis is changed twice in one step", _UNFIT)
        for entry in self.changes:
            _check_lists(entry, self.takes, self.intos)
            if SELF_EDITING not in entry.tensor:  # a module itself knows its sides and their widths
                _check_shape(entry, shapes.get(entry.tensor))

    def shrink(self, model: nn.Module) -> nn.Module:
        """Return a changed copy; every tensor is copied once, already changed."""
        tensors = named_tensors(model)
        made: dict[str, Tensor] = {}
        for entry in self._of_tensors():
            source = made.get(entry.tensor, _checked(tensors, entry, entry.tensor in made))
            made[entry.tensor] = self._made(source, entry)
        changed = copy_with(model, {tensors[name]: _like(tensors[name], new) for name, new in made.items()})
        for path in dict.fromkeys(name.rpartition(".")[0] for name in made):
            refresh(changed.get_submodule(path))
        for module, side, entry in self._sides(changed):
            module.change_channels(side, self.takes[entry.take], self._into(entry))
        return changed

    def mask(self, model: nn.Module) -> nn.Module:
        """Return a copy of the same shapes in which consumers read what those of ``shrink`` will."""
        masked = copy.deepcopy(model)
        tensors = named_tensors(masked)
        for entry in self._of_tensors():
            if entry.reads:
                target = _checked(tensors, entry, False).data
                target.copy_(_put_back(self._made(target, entry), entry, self.takes[entry.take]))
        for module, side, entry in self._sides(masked):
            module.mask_channels(side, self.takes[entry.take], self._into(entry))
        return masked

    def _of_tensors(self) -> Iterator[AxisChange]:
        return (entry for entry in self.changes if SELF_EDITING not in entry.tensor)

    def _sides(self, model: nn.Module) -> Iterator[tuple[SelfTracing, str, AxisChange]]:
        for entry in self.changes:
            if SELF_EDITING in entry.tensor:
                path, side = entry.tensor.split(SELF_EDITING)
                yield cast("SelfTracing", model.get_submodule(path)), side, entry

    def _into(self, entry: AxisChange) -> Positions:
        return landing(self.takes[entry.take], entry.size) if entry.into is None else self.intos[entry.into]

    def _made(self, source: Tensor, entry: AxisChange) -> Tensor:
        """Return the new tensor of an axis."""
        take, source = self.takes[entry.take], source.detach()
        new = source.index_select(entry.axis, torch.tensor(take, device=source.device))
        if not entry.reads or (entry.into is None and len(set(take)) == len(take)):
            return new
        return _read(source, new, entry, take, self._into(entry))


def unmerged(step: ChangeChannels) -> ChangeChannels:
    """Return the step that drops what another one merges."""
    changes = tuple(replace(entry, into=None) for entry in step.changes)
    return replace(step, changes=changes, intos=())


def landing(take: Sequence[int], size: int) -> Positions:
    """Return the new position where each of ``size`` old ones is taken to first, or `DROPPED`."""
    into = [DROPPED] * size
    for new, old in reversed(list(enumerate(take))):
        into[old] = new
    return tuple(into)


def _read(source: Tensor, taken: Tensor, entry: AxisChange, take: Positions, into: Positions) -> Tensor:
    """Turn what was taken into the sums that a consumer reads; most positions are right already."""
    adding: dict[int, list[int]] = {}
    for old, new in enumerate(into):
        adding.setdefault(new, []).append(old)
    for new, old in enumerate(take):
        sources = adding.get(new, [])
        if sources != [old]:
            index = torch.tensor(sources, dtype=torch.long, device=source.device)
            taken.select(entry.axis, new).copy_(source.index_select(entry.axis, index).sum(entry.axis))
    return taken


def _put_back(new: Tensor, entry: AxisChange, take: Positions) -> Tensor:
    """Return a tensor of the old shape that holds the new positions where they were taken from."""
    first = [position for position in landing(take, entry.size) if position != DROPPED]
    places = torch.tensor([take[position] for position in first], device=new.device)
    shape = [entry.size if axis == entry.axis else n for axis, n in enumerate(new.shape)]
    values = new.index_select(entry.axis, torch.tensor(first, device=new.device))
    return new.new_zeros(shape).index_copy_(entry.axis, places, values)


_UNFIT: Final = "apply a plan to the architecture it was made for."
_MOST_ADDED: Final = 4096  # positions; padding fills blocks of a kernel, and a flattened channel is one block


def _check_lists(entry: AxisChange, takes: Sequence[Positions], intos: Sequence[Positions]) -> None:
    name, last = foreign(entry.tensor), entry.size - 1
    if not 0 <= entry.take < len(takes) or not (entry.into is None or 0 <= entry.into < len(intos)):
        raise ArtifactError(f"{name} refers to a list that is none of {len(takes)} and {len(intos)}", _UNFIT)
    take = takes[entry.take]
    if not take or any(a > b for a, b in pairwise(take)) or take[0] < 0 or take[-1] > last:
        raise ArtifactError(f"{name} takes positions that are not ascending in 0..{last}", _UNFIT)
    repeats = len(set(take)) < len(take)
    if len(take) > 2 * entry.size + _MOST_ADDED or (repeats and set(take) != set(range(entry.size))):
        raise ArtifactError(f"{name} repeats positions that padding would not", _UNFIT)
    if entry.into is None:
        return
    into = intos[entry.into]
    if len(into) != entry.size or not all(DROPPED <= position < len(take) for position in into):
        raise ArtifactError(f"{name} adds to positions that are not 0..{len(take) - 1}", _UNFIT)


def _check_shape(entry: AxisChange, shape: tuple[int, ...] | None) -> None:
    if shape is None or not 0 <= entry.axis < len(shape) or shape[entry.axis] != entry.size:
        found = "does not exist" if shape is None else f"has shape {shape}"
        raise ArtifactError(
            f"{foreign(entry.tensor)} {found}, the plan expects {entry.size} positions on axis {entry.axis}",
            _UNFIT,
        )


def _checked(tensors: dict[str, Tensor], entry: AxisChange, changed_already: bool) -> Tensor:
    """Return the tensor to change, which must have the size that the plan was made for."""
    tensor = tensors.get(entry.tensor)
    if tensor is None or (not changed_already and tensor.shape[entry.axis] != entry.size):
        found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise ArtifactError(
            f"the plan does not fit the model: {entry.tensor} {found}, "
            f"the plan expects {entry.size} positions on axis {entry.axis}",
            _UNFIT,
        )
    return tensor


def _like(old: Tensor, new: Tensor) -> Tensor:
    return nn.Parameter(new.detach(), old.requires_grad) if isinstance(old, nn.Parameter) else new
