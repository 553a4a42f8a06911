"""Modules as data: their tensors by name, and copies in which some tensors are replaced."""

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

_EMPTY_KINDS = (dict, OrderedDict, list, set)


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name; a tied tensor appears once, under its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def weights_digest(model: nn.Module) -> str:
    """Return the sha256 of every tensor of a model, with its name, shape and type."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def copy_with(model: nn.Module, replacements: Mapping[Tensor, Tensor]) -> nn.Module:
    """Return a deep copy of a model in which some parameters and buffers are others.

    The replaced tensors are never copied, and ties between tensors and between modules survive.
    """
    memo: dict[int, object] = {id(old): new for old, new in replacements.items()}
    return _copied(model, memo)


def _copied(module: nn.Module, memo: dict[int, object]) -> nn.Module:
    """Copy a module as ``copy.deepcopy`` does, without its detour for the dozen empty hook tables."""
    known = memo.get(id(module))
    if known is not None:
        assert isinstance(known, nn.Module)
        return known
    if hasattr(module, "__deepcopy__") or type(module).__reduce_ex__ is not object.__reduce_ex__:
        return copy.deepcopy(module, memo)
    clone: nn.Module = type(module).__new__(type(module))
    memo[id(module)] = clone
    for name, value in module.__dict__.items():
        clone.__dict__[name] = _attribute(name, value, memo)
    return clone


def _attribute(name: str, value: object, memo: dict[int, object]) -> object:
    if type(value) in _EMPTY_KINDS and not value:
        return type(value)()
    if name == "_modules" and isinstance(value, dict):
        return {k: None if child is None else _copied(child, memo) for k, child in value.items()}
    return copy.deepcopy(value, memo)
