"""One step removes, merges and pads: against sums written out by hand, and against its own mask."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compressor.artifact import Artifact
from compressor.base.errors import ArtifactError
from compressor.steps import STEPS, step_from_json, step_to_json
from compressor.steps.channels import AxisChange, ChangeChannels, landing
from compressor.steps.plan import PrunePlan
from compressor.steps.shrink import check, outputs_of, relative_difference


class Net(nn.Module):
    """Four channels between two convolutions; the last two are copies of the first two."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 5, 3)
        with torch.no_grad():
            for tensor in (self.first.weight, self.first.bias):
                tensor[2:] = tensor[:2]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(torch.relu(self.first(x)))
        return out


def step(take: list[int], into: list[int] | None = None, **more: Any) -> ChangeChannels:
    changes = tuple(
        AxisChange(
            tensor=tensor, axis=axis, size=4, take=0, reads=axis == 1,
            into=0 if into is not None and axis == 1 else None,
        )
        for tensor, axis in (("first.weight", 0), ("first.bias", 0), ("second.weight", 1))
    )  # fmt: skip
    lists = () if into is None else (tuple(into),)
    return ChangeChannels(decisions=(), takes=(tuple(take),), changes=changes, intos=lists, **more)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def inputs() -> list[Tensor]:
    return [torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))]


FORMS = {
    "removed": step([0, 3]),
    "merged": step([0, 1], [0, 1, 0, 1], lossless=True),
    "merged, some dropped": step([0, 1], [0, 1, -1, 0]),
    "padded": step([0, 1, 2, 3, 3, 3], lossless=True),
}


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS)
def test_every_form_is_proved(net: nn.Module, inputs: list[Tensor], change: ChangeChannels) -> None:
    change.check(net)
    assert check(net, PrunePlan(arch="net", steps=(change,)), inputs).max_relative_difference is not None
    assert step_from_json(step_to_json(change), "here") == change


def test_merging_adds_what_consumers_read(net: nn.Module, inputs: list[Tensor]) -> None:
    small = FORMS["merged"].shrink(net)
    weight = net.get_parameter("second.weight")
    assert torch.equal(small.get_parameter("second.weight"), weight[:, :2] + weight[:, 2:])
    assert torch.equal(small.get_parameter("first.weight"), net.get_parameter("first.weight")[:2])
    assert relative_difference(outputs_of(net, inputs), outputs_of(small, inputs)) < 1e-6


def test_padding_repeats_and_leaves_the_rest_bit_by_bit(net: nn.Module) -> None:
    wide = FORMS["padded"].shrink(net)
    weight = wide.get_parameter("second.weight")
    assert torch.equal(weight[:, :4], net.get_parameter("second.weight"))
    assert not weight[:, 4:].any()
    assert torch.equal(wide.get_parameter("first.weight")[5], net.get_parameter("first.weight")[3])


def test_what_claims_to_be_lossless_and_is_not_is_refused(net: nn.Module, inputs: list[Tensor]) -> None:
    plan = PrunePlan(arch="net", steps=(step([0, 3], lossless=True),))
    with pytest.raises(Exception, match="differs"):
        check(net, plan, inputs)


def test_every_step_of_a_plan_is_proved(net: nn.Module, inputs: list[Tensor]) -> None:
    second = ChangeChannels(
        decisions=(), takes=((1,),),
        changes=tuple(
            AxisChange(tensor=tensor, axis=axis, size=2, take=0, reads=axis == 1)
            for tensor, axis in (("first.weight", 0), ("second.weight", 1))
        ),
    )  # fmt: skip
    wrong = PrunePlan(arch="net", steps=(second, FORMS["padded"]))
    with pytest.raises(ArtifactError, match="does not fit"):
        check(net, PrunePlan(arch="net", steps=(FORMS["padded"], second)), inputs)
    with pytest.raises(ArtifactError, match="does not fit"):
        check(net, wrong, inputs)
    both = PrunePlan(arch="net", steps=(FORMS["padded"], _again(6)))
    assert check(net, both, inputs).max_relative_difference is not None


def _again(size: int) -> ChangeChannels:
    changes = tuple(
        AxisChange(tensor=tensor, axis=axis, size=size, take=0, reads=axis == 1)
        for tensor, axis in (("first.weight", 0), ("first.bias", 0), ("second.weight", 1))
    )
    return ChangeChannels(decisions=(), takes=((0, 2),), changes=changes)


def test_where_old_positions_go() -> None:
    assert landing([0, 2, 2], 4) == (0, -1, 1, -1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (step([0, 0, 1]), "repeats"),
        (step([1, 0]), "ascending"),
        (step([0, 4]), "ascending"),
        (step([]), "ascending"),
        (step([0, 1], [0, 1, 2, 0]), "adds to"),
        (step([0, 1], [0, 1, 0]), "adds to"),
        (step([0, 1], [0, 1, 0, -2]), "adds to"),
        (step([0, 1, 2, *[3] * 5000]), "repeats"),
    ],
)
def test_lists_that_no_plan_has_are_refused(net: nn.Module, change: ChangeChannels, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        change.check(net)


def test_steps_of_earlier_versions_are_read() -> None:
    former = {
        "kind": "remove_channels",
        "groups": [{"name": "first", "size": 4, "requested": 2, "kept": 2, "reason": ""}],
        "keeps": [[0, 3]],
        "cuts": [
            {"tensor": "first.weight", "axis": 0, "size": 4, "keep": 0, "reads": False},
            {"tensor": "second.weight", "axis": 1, "size": 4, "keep": 0, "reads": True},
        ],
    }
    read = step_from_json(former, "here")
    assert isinstance(read, ChangeChannels)
    assert read.takes == ((0, 3),)
    assert [change.reads for change in read.changes] == [False, True]
    assert read.decisions[0].kept == 2
    with pytest.raises(ArtifactError):
        step_from_json({**former, "cuts": [3]}, "here")


def test_artifacts_of_earlier_versions_load() -> None:
    found = Artifact.load(Path(__file__).parent / "written_by_0_1")
    module, manifest = found.module, found.manifest
    assert manifest.plan.decisions[0].kept < manifest.plan.decisions[0].size
    assert sum(p.numel() for p in module.parameters()) == manifest.cost_after.params
    check_twice = step_from_json(step_to_json(manifest.plan.steps[0]), "here")
    assert check_twice == manifest.plan.steps[0]


def test_every_kind_says_what_it_decided_and_claims() -> None:
    for kind in STEPS:
        assert STEPS.get(kind).kind == kind
        assert {"decisions", "lossless", "check", "shrink", "mask"} <= set(dir(STEPS.get(kind)))
