"""Groups whose cut cannot be proven stay whole, and the others are pruned all the same."""

import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import OracleError, UsageError
from compressor.criteria.l1 import L1
from compressor.methods.ranking import Planned, make_plan
from compressor.rates import Budget, PruneRequest, Share
from compressor.steps.shrink import outputs_of, shrink
from compressor.zoo import Architecture
from compressor.zoo.inputs import InputSpec


class Split(nn.Module):
    """Splits the channels of one convolution into parts of 8, whatever it has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3)
        self.wide = nn.Conv2d(16, 16, 3)
        self.left = nn.Conv2d(8, 16, 1)
        self.right = nn.Conv2d(8, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.wide(self.stem(x).relu()).relu().split(8, dim=1)
        return self.head((self.left(a) + self.right(b)).relu().mean((2, 3)))


class Numbers(nn.Module):
    """Adds a number that is the width of one layer: what is cut there computes something else."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 16, 3)
        self.second = nn.Conv2d(16, 16, 3)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu()
        return self.head(x.mean((2, 3))) + self.second.weight.shape[1]


class Every(nn.Module):
    """No cut of anything is right."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Conv2d(3, 16, 3)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.only(x).mean((2, 3))) + self.head.weight.shape[1]


def planned(build: type[nn.Module], request: PruneRequest) -> Planned:
    arch = Architecture(name="net", constructor=build, input=InputSpec(shapes=((3, 12, 12),)))
    return make_plan(build().eval(), arch, request, L1())


@pytest.mark.parametrize(
    ("build", "whole", "cut"),
    [(Split, {"wide"}, {"stem", "left"}), (Numbers, {"first"}, {"second"})],
)
def test_the_others_are_pruned(build: type[nn.Module], whole: set[str], cut: set[str]) -> None:
    found = planned(build, PruneRequest(target=Share(0.4)))
    decisions = {decision.name: decision for decision in found.plan.decisions}
    assert whole == {name for name, one in decisions.items() if "cut alone, " in one.reason}
    assert all(decisions[name].kept < decisions[name].size for name in cut)
    assert found.oracle.max_relative_difference is not None
    (note,) = found.plan.notes
    assert note.startswith(
        f"left whole, since no cut of them could be proven: {whole.copy().pop()} (cut alone, "
    )
    x = [torch.randn(2, 3, 12, 12)]
    assert outputs_of(shrink(build().eval(), found.plan), x)[0].shape == (2, 5)


def test_a_budget_is_met_by_the_others() -> None:
    found = planned(Split, PruneRequest(target=Budget("macs", fraction=0.7)))
    assert all(one.kept == one.size for one in found.plan.decisions if one.name == "wide")
    assert any(one.kept < one.size for one in found.plan.decisions if one.name == "stem")


def test_a_budget_out_of_reach_says_what_stayed_whole() -> None:
    with pytest.raises(UsageError, match=r"out of reach.*; left whole, .*: wide"):
        planned(Split, PruneRequest(target=Budget("macs", fraction=0.07)))


def test_where_nothing_can_be_cut_the_proof_is_what_is_said() -> None:
    with pytest.raises(OracleError, match="differs from the masked one"):
        planned(Every, PruneRequest(target=Share(0.5)))
