"""Module attributes that repeat a tensor's shape, brought up to date after the tensor was cut."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd


def refresh(module: nn.Module) -> None:
    """Set ``in_channels``, ``groups``, ``num_features`` and their kin from the module's tensors."""
    for kind, update in _UPDATES:
        if isinstance(module, kind):
            update(module)
            return


def _conv(module: _ConvNd) -> None:
    first, second = module.weight.shape[:2]
    depthwise = module.groups == module.in_channels > 1
    if module.transposed:
        module.groups = first if depthwise else module.groups
        module.in_channels, module.out_channels = first, second * module.groups
        return
    per_group = module.out_channels // module.groups
    module.groups = first // per_group if depthwise else module.groups
    module.in_channels, module.out_channels = second * module.groups, first


def _linear(module: nn.Linear) -> None:
    module.out_features, module.in_features = module.weight.shape


def _batch_norm(module: _NormBase) -> None:
    kept = module.running_mean if module.running_mean is not None else module.weight
    if kept is not None:
        module.num_features = kept.shape[0]


def _layer_norm(module: nn.LayerNorm) -> None:
    module.normalized_shape = tuple(module.weight.shape)


def _group_norm(module: nn.GroupNorm) -> None:
    module.num_channels = module.weight.shape[0]


def _prelu(module: nn.PReLU) -> None:
    module.num_parameters = module.weight.shape[0]


def _embedding(module: nn.Embedding) -> None:
    module.embedding_dim = module.weight.shape[1]


_UPDATES: tuple[tuple[type[nn.Module], Callable[[Any], None]], ...] = (
    (_ConvNd, _conv),
    (nn.Linear, _linear),
    (_NormBase, _batch_norm),
    (nn.LayerNorm, _layer_norm),
    (nn.GroupNorm, _group_norm),
    (nn.PReLU, _prelu),
    (nn.Embedding, _embedding),
)
