"""Remove channels: cut every axis that carries a removed unit.

Shrinking selects the surviving positions of each axis. Masking leaves all shapes alone and zeroes what the
consumers of removed channels would read: for y = sum_c W[:, c] x[c], dropping c and setting W[:, c] = 0 are
the same, whatever x[c] is.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from compressor.base.text import foreign
from compressor.channels.graph import SELF_EDITING
from compressor.channels.tracer import SelfTracing
from compressor.errors import ArtifactError
from compressor.modules import copy_with, named_tensors
from compressor.steps import STEPS
from compressor.steps.attributes import refresh
from compressor.types import GroupDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisCut:
    """One axis that loses positions.

    Attributes:
        tensor: parameter or buffer, or ``module:side``.
        axis: axis number.
        size: positions before.
        keep: index into the step's ``keeps``.
        reads: True where a consumer reads the channels along this axis.
    """

    tensor: str
    axis: int
    size: int
    keep: int
    reads: bool


@STEPS.register("remove_channels")
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveChannels:
    """Cut axes down to the positions that survive.

    Attributes:
        groups: what was decided for each group, for people and reports.
        keeps: lists of surviving positions; most axes share one with others.
        cuts: which axis keeps which list.
    """

    kind: ClassVar[str] = "remove_channels"
    groups: tuple[GroupDecision, ...]
    keeps: tuple[tuple[int, ...], ...]
    cuts: tuple[AxisCut, ...]

    def check(self, model: nn.Module) -> None:
        """Refuse cuts of tensors, axes or positions that the model does not have, and cuts made twice.

        Raises:
            ArtifactError: naming the first of them.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in named_tensors(model).items()}
        places = [(entry.tensor, entry.axis) for entry in self.cuts]
        if len(set(places)) < len(places):
            raise ArtifactError("an axis is cut twice in one step", _UNFIT)
        for entry in self.cuts:
            _check_cut(entry, self.keeps, shapes)

    def shrink(self, model: nn.Module) -> nn.Module:
        """Return a physically smaller copy; every tensor is copied once, already cut."""
        tensors = named_tensors(model)
        kept = [torch.tensor(keep) for keep in self.keeps]
        cut: dict[str, Tensor] = {}
        for entry, _ in self._tensor_cuts():
            source = cut.get(entry.tensor, _checked(tensors, entry, entry.tensor in cut))
            cut[entry.tensor] = source.index_select(entry.axis, kept[entry.keep].to(source.device))
        smaller = copy_with(model, {tensors[name]: _like(tensors[name], new) for name, new in cut.items()})
        for path in dict.fromkeys(name.rpartition(".")[0] for name in cut):
            refresh(smaller.get_submodule(path))
        for module, side, keep in self._sides(smaller):
            module.keep_channels(side, keep)
        return smaller

    def mask(self, model: nn.Module) -> nn.Module:
        """Return a copy of the same shapes in which nothing reads the removed channels."""
        masked = copy.deepcopy(model)
        tensors = named_tensors(masked)
        for entry, keep in self._tensor_cuts():
            if entry.reads:
                dead = torch.ones(entry.size, dtype=torch.bool)
                dead[torch.tensor(keep)] = False
                target = _checked(tensors, entry, False).data
                target.index_fill_(entry.axis, dead.nonzero().reshape(-1).to(target.device), 0.0)
        for module, side, keep in self._sides(masked):
            module.mask_channels(side, keep)
        return masked

    def _tensor_cuts(self) -> Iterator[tuple[AxisCut, tuple[int, ...]]]:
        for entry in self.cuts:
            if SELF_EDITING not in entry.tensor:
                yield entry, self.keeps[entry.keep]

    def _sides(self, model: nn.Module) -> Iterator[tuple[SelfTracing, str, tuple[int, ...]]]:
        for entry in self.cuts:
            if SELF_EDITING in entry.tensor:
                path, side = entry.tensor.split(SELF_EDITING)
                yield cast("SelfTracing", model.get_submodule(path)), side, self.keeps[entry.keep]


_UNFIT = "apply a plan to the architecture it was made for."


def _check_cut(
    entry: AxisCut, keeps: tuple[tuple[int, ...], ...], shapes: dict[str, tuple[int, ...]]
) -> None:
    name, shape = foreign(entry.tensor), shapes.get(entry.tensor)
    if not 0 <= entry.keep < len(keeps):
        raise ArtifactError(f"{name} refers to list {entry.keep} of {len(keeps)}", _UNFIT)
    kept = keeps[entry.keep]
    ascending = all(a < b for a, b in pairwise(kept))
    if not kept or not ascending or kept[0] < 0 or kept[-1] >= entry.size:
        raise ArtifactError(f"{name} keeps positions that are not ascending in 0..{entry.size - 1}", _UNFIT)
    if SELF_EDITING in entry.tensor:
        return  # the module itself knows its sides and their widths
    if shape is None or not 0 <= entry.axis < len(shape) or shape[entry.axis] != entry.size:
        found = "does not exist" if shape is None else f"has shape {shape}"
        raise ArtifactError(
            f"{name} {found}, the plan expects {entry.size} positions on axis {entry.axis}", _UNFIT
        )


def _checked(tensors: dict[str, Tensor], entry: AxisCut, cut_already: bool) -> Tensor:
    """Return the tensor to cut, which must have the size that the plan was made for."""
    tensor = tensors.get(entry.tensor)
    if tensor is None or (not cut_already and tensor.shape[entry.axis] != entry.size):
        found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise ArtifactError(
            f"the plan does not fit the model: {entry.tensor} {found}, "
            f"the plan expects {entry.size} positions on axis {entry.axis}",
            _UNFIT,
        )
    return tensor


def _like(old: Tensor, new: Tensor) -> Tensor:
    return nn.Parameter(new.detach(), old.requires_grad) if isinstance(old, nn.Parameter) else new
