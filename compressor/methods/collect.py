"""Collect from data what criteria need, once for all groups."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from compressor.base.errors import UsageError
from compressor.base.modes import evaluation
from compressor.criteria import Criterion
from compressor.criteria.view import Stat, Statistics
from compressor.methods.means import Means
from compressor.tasks.classification import CLASSIFICATION
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import Batch, Task

Batches = Iterable[Batch]


@runtime_checkable
class FeatureReducer(Protocol):
    """A criterion that looks at feature maps; it needs :attr:`Stat.ACTIVATIONS`."""

    def reduce(self, features: Tensor) -> Tensor:
        """Return a mean over the batch, (batch, channels, h, w) -> (channels,)."""


def collect(
    model: nn.Module, criterion: Criterion, batches: Batches | None, task: Task = CLASSIFICATION
) -> Statistics:
    """Return the statistics that a criterion needs.

    Args:
        model: left as it is; gradients are cleared.
        criterion: says what it needs.
        batches: of the training split; None if no data was given.
        task: what the batches are, and what the model is to minimise on them.

    Raises:
        UsageError: data is needed and there is none, or it holds no images.
    """
    if not criterion.needs:
        return Statistics()
    if batches is None:
        needed = ", ".join(sorted(stat.value for stat in criterion.needs))
        raise UsageError(
            f"criterion {type(criterion).__name__.lower()} needs {needed} from data",
            "give training images with --data, for instance --data digits.",
        )
    gradients = _gradients(model, batches, task) if Stat.GRADIENTS in criterion.needs else {}
    features = _features(model, criterion, batches, task) if isinstance(criterion, FeatureReducer) else {}
    return Statistics(gradients=gradients, features=features)


def _gradients(model: nn.Module, batches: Batches, task: Task) -> dict[str, Tensor]:
    """Return the mean gradient of the task's loss over all images, norms in evaluation mode."""
    model.zero_grad(set_to_none=True)
    images = 0
    with evaluation(model), torch.enable_grad():
        for batch in batches:
            torch.autograd.backward(task.learning.loss(model, batch, Recipe(), None))
            images += task.data.size(batch)
    found = {n: p.grad / max(images, 1) for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def _features(model: nn.Module, criterion: FeatureReducer, batches: Batches, task: Task) -> dict[str, Tensor]:
    """Return what the criterion makes of each layer's channels, averaged over all images.

    Maps are reduced as they appear and not kept, so that memory does not grow with the number of images.
    """
    means = Means[str]()
    with evaluation(model), torch.no_grad(), ExitStack() as stack:
        for number, batch in enumerate(batches):
            if number == 0:
                one = task.data.pieces(batch, task.data.size(batch))[0]
                for name, (layer, source) in sources_of(model, partial(task.scoring.run, model, one)).items():
                    hook = partial(_reduced, name, layer, criterion, means)
                    stack.enter_context(source.register_forward_hook(hook))
            task.scoring.run(model, batch)
    features = means.result()
    if not features:
        raise UsageError(
            "no feature maps were collected", "give at least one image and a model with convolutions."
        )
    return features


def _reduced(
    name: str, layer: nn.Module, criterion: FeatureReducer, means: Means[str], *call: object
) -> None:
    """Forward hook: ``call`` is the module, its arguments and its output."""
    output = call[-1]
    assert isinstance(output, Tensor)
    maps = _as_maps(layer, output)
    means.add(name, criterion.reduce(maps), len(maps))


def _as_maps(layer: nn.Module, output: Tensor) -> Tensor:
    """Return the output of a layer, or of its norm, as (batch, channels, height, all other axes)."""
    if isinstance(layer, nn.Linear):
        output = output.movedim(-1, 1)
    spatial = output.shape[2:] or (1,)
    return output.reshape(*output.shape[:2], spatial[0], -1)


def sources_of(model: nn.Module, run: Callable[[], object]) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Run a model once and see who reads what.

    Returns:
        Name of a layer's weight -> the layer, and the module whose output is read for it: the norm that
        takes the layer's output as it is, else the layer.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    made: dict[int, tuple[str, Tensor]] = {}
    found: dict[str, tuple[nn.Module, nn.Module]] = {}

    def watch(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        if (
            isinstance(module, _ConvNd | nn.Linear)
            and isinstance(output, Tensor)
            and _one_map_per_row(module)
        ):
            name = names.get(id(module.weight))
            if name is not None:
                made[id(output)] = name, output
                found[name] = module, module
        elif args and id(args[0]) in made and _is_norm(module):
            name, _ = made[id(args[0])]
            found[name] = found[name][0], module

    with ExitStack() as stack:
        for module in model.modules():
            stack.enter_context(module.register_forward_hook(watch))
        run()
    return found


def _one_map_per_row(layer: _ConvNd | nn.Linear) -> bool:
    """Say whether output channels and positions of the weight's channel axis are the same."""
    if isinstance(layer, nn.Linear) or not layer.transposed or layer.groups == 1:
        return True
    return layer.groups == layer.in_channels == layer.out_channels


def _is_norm(module: nn.Module) -> bool:
    # FrozenBatchNorm2d and its like have no base class in common, but all scale each channel.
    weight = getattr(module, "weight", None)
    return isinstance(module, _BatchNorm) or (isinstance(weight, Tensor) and weight.ndim == 1)
