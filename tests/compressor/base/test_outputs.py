"""Tensors are found wherever a model may put them."""

from collections import OrderedDict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from compressor.base.outputs import tensors_of


@dataclass
class Held:
    logits: Tensor
    more: tuple[Tensor, ...] = ()


class Named(NamedTuple):
    first: Tensor
    second: object


def test_containers_dataclasses_and_objects_are_looked_into() -> None:
    a, b, c, d, e = (torch.full((1,), float(n)) for n in range(5))
    plain = SimpleNamespace(inner=Named(d, "text"))
    output = OrderedDict(x=[a, {"y": Held(b, (c,))}], z=plain, w=(e, None, 3))
    assert [float(t) for t in tensors_of(output)] == [0, 1, 2, 3, 4]


def test_each_comes_once_and_circles_end() -> None:
    one = torch.ones(1)
    circle = SimpleNamespace(one=one, again=one)
    circle.itself = circle
    assert len(tensors_of([circle, one])) == 1


def test_modules_and_classes_are_no_containers() -> None:
    assert tensors_of([nn.Linear(1, 1), Held, "text", 1.0, None]) == []
