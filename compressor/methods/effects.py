"""What each width of a group would change in the outputs of the network, its readers fitted again.

Importance says which units of a group matter most; it does not say how much a group matters beside others.
That is asked of the outputs z. A group that keeps its most important units leaves an error e_r in what each
of its readers makes, after the best fit (`compressor.methods.refits`). To first order z changes by J e, and
with random signs v over all output numbers

    E_v ( sum_r <d(v z) / d y_r, e_r> )^2  =  |J e|^2                       (Hutchinson's estimator)

is had for all groups and widths from one pass forward and one back. Readers, positions and channels are
summed before the square: errors that pull the outputs in one direction count as what they do together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from compressor.base.bounds import require_memory
from compressor.base.errors import NotFiniteError
from compressor.base.modes import evaluation
from compressor.base.outputs import tensors_of
from compressor.base.pace import Pace, Say, unheard
from compressor.channels.graph import module_of
from compressor.criteria.view import GroupView
from compressor.methods.refits import Change, changes
from compressor.rates.worth import Effect
from compressor.tasks.task import Batch, Task

_SHARES: Final = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Of a group, whose effects are measured; between them they are interpolated."""
_IMAGES: Final = 256
_PIECE: Final = 32
_SEED: Final = 0
_COPIES: Final = 2
"""Of the fitted weights: those that are kept, and what making them takes."""


@dataclass(slots=True)
class _Layer:
    """A layer that reads units, and how the fits change its weight."""

    module: nn.Module
    changes: list[tuple[tuple[int, int], Change]] = field(default_factory=list)
    calls: int = 0


def effects(
    view: nn.Module,
    groups: Mapping[int, GroupView],
    importance: Mapping[int, NDArray[np.float64]],
    batches: Iterable[Batch],
    task: Task,
    say: Say = unheard,
) -> dict[int, Effect]:
    """Return the effects of the groups that have readers whose inputs are known.

    Args:
        view: the dense network as it was traced; left as it is.
        groups: its free groups, with the spread of what their readers read.
        importance: of their units.
        batches: training images; the first of them are looked at.
        task: how the network is run on them.
        say: called with a line for people, every ten seconds.

    Raises:
        NotFiniteError: an output or its gradient is NaN or infinite.
        UsageError: the fitted weights would not fit into memory.
    """
    widths = {index: _widths(group.size) for index, group in groups.items()}
    _require_room(groups, widths)
    layers = _fitted(view, groups, importance, widths, say)
    errors = _measured(view, layers, batches, task, say)
    known = {index for index, _ in errors}
    return {index: _effect(errors, index, widths[index], groups[index].size) for index in sorted(known)}


def _require_room(groups: Mapping[int, GroupView], widths: Mapping[int, Sequence[int]]) -> None:
    weights = sum(
        len(widths[index]) * member.values.numel()
        for index, group in groups.items()
        for member in group.members
        if member.spread is not None
    )
    hint = "leave the widest groups whole with --keep."
    require_memory(_COPIES * 4 * weights, "the fitted weights of all layers", hint)


def _fitted(
    view: nn.Module,
    groups: Mapping[int, GroupView],
    importance: Mapping[int, NDArray[np.float64]],
    widths: Mapping[int, Sequence[int]],
    say: Say,
) -> list[_Layer]:
    """Return the layers that read units, with the changes of all groups and widths."""
    layers: dict[str, _Layer] = {}
    pace = Pace()
    for number, (index, group) in enumerate(groups.items()):
        if pace.due():
            say(f"what widths change: fitting the readers of group {number} of {len(groups)}")
        order = np.argsort(importance[index], kind="stable")
        for change in changes(group, order, widths[index]):
            name = module_of(change.tensor)
            layer = layers.setdefault(name, _Layer(view.get_submodule(name)))
            layer.changes.append(((index, change.width), change))
    return list(layers.values())


def _widths(size: int) -> list[int]:
    return sorted({max(1, round(share * size)) for share in _SHARES} - {size})


def _effect(errors: Mapping[tuple[int, int], float], index: int, widths: Sequence[int], size: int) -> Effect:
    """Return an effect that never grows with the width.

    Raises:
        NotFiniteError: it is NaN or infinite.
    """
    found = np.array([*(errors[index, width] for width in widths), 0.0])
    if not np.isfinite(found).all():
        raise NotFiniteError(
            "a gradient is NaN or infinite on the calibration images",
            "check the weights with compress eval, and the images.",
        )
    error = np.maximum.accumulate(found[::-1])[::-1]
    return Effect(np.array([*widths, size], dtype=np.int64), error)


def _measured(
    view: nn.Module, layers: Sequence[_Layer], batches: Iterable[Batch], task: Task, say: Say
) -> dict[tuple[int, int], float]:
    """Return the mean squared change of the outputs by (group, width)."""
    totals: dict[tuple[int, int], float] = {}
    seen, signs, pace = 0, torch.Generator().manual_seed(_SEED), Pace()
    with evaluation(view), _no_weights(view), torch.enable_grad(), ExitStack() as stack:
        passes = _Pass(stack, layers)
        for piece, images in _pieces(view, layers, batches, task):
            passes.begin(images)
            outputs = [z for z in tensors_of(task.scoring.run(view, piece)) if z.requires_grad]
            if not outputs:  # a forward of its own may forbid gradients, and nothing may read units
                return {}
            torch.autograd.backward(_projected(outputs, images, signs))
            for key, sums in passes.sums.items():
                totals[key] = totals.get(key, 0.0) + float(sums.double().square().sum())
            seen += images
            if pace.due():
                say(f"what widths change: {seen} images, at most {_IMAGES}")
    return {key: total / seen for key, total in totals.items()}


@contextmanager
def _no_weights(view: nn.Module) -> Iterator[None]:
    """Spare the gradients of weights, which nobody reads; what is asked for of them comes back afterwards."""
    asked = [parameter for parameter in view.parameters() if parameter.requires_grad]
    for parameter in asked:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)


def _pieces(
    view: nn.Module, layers: Sequence[_Layer], batches: Iterable[Batch], task: Task
) -> Iterator[tuple[Batch, int]]:
    """Yield parts of the first images with their sizes.

    They are single images where the network goes through a batch image by image.
    """
    left, most = _IMAGES, 0
    for batch in batches:
        size = task.data.size(batch)
        most = most or _at_once(view, layers, batch, task)
        for piece in task.data.pieces(batch, -(-size // most)):
            if left <= 0:
                return
            left -= task.data.size(piece)
            yield piece, task.data.size(piece)


def _at_once(view: nn.Module, layers: Sequence[_Layer], batch: Batch, task: Task) -> int:
    """Return how many images one pass may hold, so that each has a place of its own along the first axis."""
    size = task.data.size(batch)
    if size < 2:
        return 1
    calls = []
    for parts in (size, size // 2):
        for layer in layers:
            layer.calls = 0
        with torch.no_grad():
            task.scoring.run(view, task.data.pieces(batch, parts)[0])
        calls.append(sum(layer.calls for layer in layers))
    return _PIECE if calls[0] == calls[1] else 1


def _projected(outputs: Sequence[Tensor], images: int, signs: torch.Generator) -> Tensor:
    """Return the sum of all outputs with random signs, each output scaled by what it varies.

    Raises:
        NotFiniteError: an output is NaN or infinite.
    """
    total = outputs[0].new_zeros(())
    for z in outputs:
        varies = float(z.detach().double().std(correction=0))
        if not np.isfinite(varies):
            raise NotFiniteError(
                "an output is NaN or infinite on the calibration images",
                "check the weights with compress eval, and the images.",
            )
        if varies > 0:
            sign = torch.randint(0, 2, z.shape, generator=signs, dtype=z.dtype).mul_(2).sub_(1)
            total = total + (z * sign.to(z.device)).sum() / (varies * (z.numel() / images) ** 0.5)
    return total


class _Pass:
    """Hooks that follow one pass: how each change of a layer would move the projected outputs, per image."""

    def __init__(self, stack: ExitStack, layers: Sequence[_Layer]) -> None:
        self.sums: dict[tuple[int, int], Tensor] = {}
        self._images = 1
        for layer in layers:
            stack.enter_context(layer.module.register_forward_hook(partial(self._forward, layer)))

    def begin(self, images: int) -> None:
        """Forget the pass before."""
        self.sums, self._images = {}, images

    def _forward(self, layer: _Layer, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        layer.calls += 1
        if not torch.is_grad_enabled():
            return output
        if not output.requires_grad:  # the first layers: nothing before them asks for a gradient
            output = output.detach().requires_grad_().clone()
        output.register_hook(partial(self._backward, layer, args[0].detach()))
        return output

    def _backward(self, layer: _Layer, x: Tensor, gradient: Tensor) -> None:
        with torch.no_grad():
            for key, change in layer.changes:
                error = _error(layer.module, change, x)
                moved = (error * gradient).reshape(self._images, -1).sum(1)
                self.sums[key] = self.sums[key] + moved if key in self.sums else moved


def _error(layer: nn.Module, change: Change, x: Tensor) -> Tensor:
    """Return what a change adds to the output of a layer."""
    if getattr(layer, "bias", None) is not None:
        given = {"weight": change.weight.to(x), "bias": change.shift.to(x)}
        error: Tensor = functional_call(layer, given, (x,))
        return error
    error = functional_call(layer, {"weight": change.weight.to(x)}, (x,))
    shape = [1] * error.ndim
    shape[-1 if isinstance(layer, nn.Linear) else 1] = -1
    return error + change.shift.to(x).view(shape)
