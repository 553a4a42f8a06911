"""What the proof looks at, and what it takes for a difference."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import OracleError, TraceError
from compressor.channels import trace
from compressor.criteria.l1 import L1
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Share
from compressor.steps.shrink import ORACLE_LIMIT, outputs_of, relative_difference
from compressor.zoo import Architecture
from compressor.zoo.inputs import InputSpec

X = [torch.randn(1, 3, 8, 8)]
HALF = PruneRequest(target=Share(0.5))


@dataclass
class Output:
    logits: Tensor
    features: Tensor


class Net(nn.Module):
    """Two convolutions and a head; what is returned is for the tests to say."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 5)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.first(x).relu()
        return self.head(self.second(features).relu().mean((2, 3))), features


class InDataclass(Net):
    def forward(self, x: Tensor) -> Output:
        return Output(*self.parts(x))


class Amplified(Net):
    """Rounding of float32 becomes visible; in float64 it stays small."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(3e4 * self.parts(x)[0])


class Broken(Net):
    """Adds its widths to what it returns: whatever is pruned computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        logits, _ = self.parts(x)
        return logits + float(self.first.weight.shape[0] + self.second.weight.shape[0])


class Nothing(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x)[0][:0]


class Words(Net):
    def forward(self, x: Tensor) -> str:
        return str(self.parts(x)[0].shape)


def arch(build: type[nn.Module]) -> Architecture:
    return Architecture(name="net", constructor=build, input=InputSpec(shapes=((3, 8, 8),)))


def test_what_is_returned_in_a_dataclass_stays_whole() -> None:
    planned = make_plan(InDataclass(), arch(InDataclass), HALF, L1())
    kept = {decision.name: decision.kept for decision in planned.plan.decisions}
    assert kept["first"] == 8
    assert kept["second"] == 4
    assert len(outputs_of(InDataclass(), X)) == 2


def test_rounding_that_a_network_amplifies_is_no_difference() -> None:
    planned = make_plan(Amplified(), arch(Amplified), HALF, L1())
    found = planned.oracle.max_relative_difference
    assert found is not None
    assert found <= ORACLE_LIMIT


def test_a_difference_in_float64_is_one() -> None:
    with pytest.raises(OracleError, match="differs from the masked one"):
        make_plan(Broken(), arch(Broken), HALF, L1())


def test_a_proof_that_looked_at_nothing_is_none() -> None:
    with pytest.raises(OracleError, match="returns no number that could be compared"):
        make_plan(Nothing(), arch(Nothing), HALF, L1())


def test_a_model_that_returns_no_tensor_is_told_so() -> None:
    with pytest.raises(TraceError, match="returns str, in which there is no tensor"):
        trace(Words(), X)


def test_outputs_without_elements_are_compared_by_their_shape() -> None:
    empty = torch.zeros(0, 4)
    assert relative_difference([empty, torch.ones(1)], [empty, torch.ones(1)]) == 0
    assert relative_difference([empty], [torch.zeros(1, 4)]) == float("inf")
