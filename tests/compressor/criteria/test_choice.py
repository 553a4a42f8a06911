"""Criteria that choose, and merge what they do not keep."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import CompressError
from compressor.channels import trace
from compressor.criteria.view import GroupView, Stat
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Share
from compressor.steps.channels import DROPPED
from compressor.steps.choice import Choice
from compressor.steps.plan import cut
from compressor.steps.shrink import outputs_of, relative_difference, shrink
from compressor.zoo import Architecture
from compressor.zoo.inputs import InputSpec


@dataclass(frozen=True, slots=True)
class Twins:
    """Keep the first of equal filters and let it stand for the others."""

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = False

    def __call__(self, group: GroupView) -> Tensor:
        return torch.arange(group.size, 0, -1).float()

    def choose(self, group: GroupView, importance: np.ndarray, count: int) -> Choice:
        rows = group.filters[0].rows
        first = [next(v for v in range(group.size) if torch.equal(row, rows[v])) for row in rows]
        keep = np.array(sorted(set(first)))
        assert len(keep) == count
        return Choice(keep=keep, into=np.array(first))


class Flattened(nn.Module):
    """Two convolutions and a linear layer behind a flatten, so that a unit has four positions there."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 6, 3)
        self.fc = nn.Linear(6 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.two(torch.relu(self.norm(self.one(x))))).flatten(1))  # type: ignore[no-any-return]


def pairs(layer: nn.Conv2d | nn.BatchNorm2d) -> Iterator[Tensor]:
    return (tensor for tensor in layer.state_dict().values() if tensor.ndim)


@pytest.fixture
def model() -> nn.Module:
    """Every filter of both convolutions is there twice, its norm too."""
    torch.manual_seed(0)
    model = Flattened().eval()
    for layer in (model.one, model.norm, model.two):
        for tensor in pairs(layer):
            tensor.uniform_(0.1, 1)
            tensor[1::2] = tensor[::2]
    return model


def arch_of(model: nn.Module) -> Architecture:
    return Architecture(name="twins", constructor=lambda: model, input=InputSpec(shapes=((3, 6, 6),)))


def test_merging_equal_channels_changes_nothing(model: nn.Module) -> None:
    arch = arch_of(model)
    planned = make_plan(model, arch, PruneRequest(target=Share(0.5)), Twins())
    small = shrink(model, planned.plan)
    assert tuple(next(small.parameters()).shape) == (4, 3, 3, 3)
    assert dict(small.named_parameters())["fc.weight"].shape == (5, 3 * 4)
    inputs = arch.example(batch=3)
    assert relative_difference(outputs_of(model, inputs), outputs_of(small, inputs)) < 1e-6
    step = planned.plan.steps[0]
    assert planned.oracle.max_relative_difference is not None
    dropped = make_plan(model, arch, PruneRequest(target=Share(0.5)), Best())
    other = shrink(model, dropped.plan)
    assert relative_difference(outputs_of(model, inputs), outputs_of(other, inputs)) > 1e-3
    assert step.decisions == dropped.plan.steps[0].decisions


@dataclass(frozen=True, slots=True)
class Best:
    """The same importance without a choice of its own."""

    needs: ClassVar[frozenset[Stat]] = frozenset()
    comparable: ClassVar[bool] = False

    def __call__(self, group: GroupView) -> Tensor:
        return torch.arange(group.size, 0, -1).float()


def test_what_is_dropped_is_read_by_nobody(model: nn.Module) -> None:
    arch = arch_of(model)
    graph = trace(model, arch.example())
    index = graph.by_producer["one"]
    into = np.array([0, 0, 2, DROPPED, DROPPED, 2, 6, 6])
    step = cut(graph, {index: Choice(np.array([0, 2, 6]), into)}, ())
    reader = next(change for change in step.changes if change.reads)
    assert step.takes[reader.take] == (0, 2, 6)
    assert reader.into is not None
    assert step.intos[reader.into] == (0, 0, 1, DROPPED, DROPPED, 1, 2, 2)


@pytest.mark.parametrize(
    ("keep", "into"),
    [([], None), ([2, 1], None), ([1, 1], None), ([0, 1], [0, 1, 2]), ([0, 1], [1, 1, 0])],
)
def test_an_impossible_choice_is_refused(keep: list[int], into: list[int] | None) -> None:
    with pytest.raises(CompressError):
        Choice(np.array(keep, dtype=np.int64), None if into is None else np.array(into))
