"""Tensors in what a model returns, whatever container they are in."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from torch import Tensor, nn


def tensors_of(output: object) -> list[Tensor]:
    """Return the tensors of a model's output in their order, each once.

    Looked into are mappings, lists, tuples and sets, dataclasses and plain objects; not modules.
    """
    return list(_walk(output, set()))


def _walk(value: object, met: set[int]) -> Iterator[Tensor]:
    if id(value) in met:
        return
    if isinstance(value, Tensor):
        met.add(id(value))
        yield value
        return
    inner = list(_inside(value))
    if inner:
        met.add(id(value))
    for one in inner:
        yield from _walk(one, met)


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, type | nn.Module):
        return
    elif is_dataclass(value):
        yield from (getattr(value, field.name) for field in fields(value))
    else:
        yield from getattr(value, "__dict__", {}).values()
