"""Cutting layer by layer."""

import pytest

from compressor.base.errors import UsageError
from compressor.channels import ChannelGraph, trace
from compressor.criteria.l1 import L1
from compressor.methods.ranking import make_plan
from compressor.rates import Budget, PruneRequest, Published, Share
from compressor.rates.turns import Turn, request_of_turn, turns_of
from compressor.steps.shrink import shrink
from compressor.zoo import find

ARCH = find("resnet20_cifar")
PATTERNS = ("layer3.*.conv1", "layer2.0", "conv1")


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    return trace(ARCH.build(), ARCH.example())


def test_every_group_has_one_turn(graph: ChannelGraph) -> None:
    turns = dict(zip([group.name for group in graph.groups], turns_of(graph, PATTERNS), strict=True))
    assert turns["layer3.1.conv1"] == 1
    assert turns["layer2.0.conv1"] == turns[graph.groups[graph.by_producer["layer2.0.conv2"]].name] == 2
    assert turns["conv1"] == 3
    assert turns["layer1.0.conv1"] == 3, "what no pattern names comes last"
    assert turns_of(graph, ("*", "conv1")) == [1] * len(graph.groups), (
        "the first pattern that names it counts"
    )


@pytest.mark.parametrize("target", [Share(0.4), Published("[0.25]+[0.2,0.5]*9", "central-filter")])
def test_all_turns_together_leave_the_widths_of_one_cut(target: Share | Published) -> None:
    model = ARCH.build()
    request = PruneRequest(target=target)
    at_once = make_plan(model, ARCH, request, L1()).plan.decisions
    for number in range(1, len(PATTERNS) + 1):
        turn = Turn(number=number, patterns=PATTERNS)
        asked = request_of_turn(request, turn, trace(model, ARCH.example()))
        plan = make_plan(model, ARCH, asked, L1()).plan
        assert any(d.kept < d.size for d in plan.decisions)
        assert any(d.reason == "not its turn" for d in plan.decisions)
        model = shrink(model, plan)
    widths = {group.name: group.size for group in trace(model, ARCH.example()).groups}
    assert widths == {d.name: d.kept for d in at_once}


def test_a_pattern_that_names_nothing_is_refused(graph: ChannelGraph) -> None:
    with pytest.raises(UsageError, match="turns: layer9 matches no group"):
        turns_of(graph, ("layer9",))


@pytest.mark.parametrize(
    "asked",
    [PruneRequest(target=Budget("macs", fraction=0.5)), PruneRequest(target=Share(0.5), scope="global")],
)
def test_what_says_nothing_of_one_layer_is_refused(asked: PruneRequest, graph: ChannelGraph) -> None:
    with pytest.raises(UsageError, match="one by one"):
        request_of_turn(asked, Turn(number=1, patterns=("conv1",)), graph)
