import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compressor.base.errors import UsageError
from compressor.channels import ChannelGraph, trace
from compressor.channels.cost import cost_model, kept_units, measure
from compressor.rates import Budget, PruneRequest, Published, Share, Target
from compressor.rates.allocate import allocate, best_units
from compressor.rates.rounding import rounding
from compressor.steps.plan import PrunePlan, plan_from_json, plan_to_json, removal
from compressor.steps.shrink import shrink
from compressor.zoo import Architecture, find


@pytest.fixture(scope="module")
def arch() -> Architecture:
    return find("resnet20_cifar")


@pytest.fixture(scope="module")
def model(arch: Architecture) -> nn.Module:
    torch.manual_seed(0)
    return arch.build()


@pytest.fixture(scope="module")
def graph(arch: Architecture, model: nn.Module) -> ChannelGraph:
    return trace(model, arch.example())


def scores_of(graph: ChannelGraph, seed: int = 0) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {i: rng.random(graph.groups[i].size) for i in graph.free}


def allocated(graph: ChannelGraph, arch: Architecture, target: Target, **rest: object) -> np.ndarray:
    request = PruneRequest(target=target, **rest)
    return allocate(graph, request, scores_of(graph), arch.layouts, arch.name).kept


def test_a_uniform_rate_keeps_the_rest(graph: ChannelGraph, arch: Architecture) -> None:
    kept = allocated(graph, arch, Share(0.25))
    assert {int(kept[i]) for i in graph.free} == {12, 24, 48}


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("price", ["macs", "params"])
@pytest.mark.parametrize("round_to", [1, 8])
def test_a_budget_is_met_and_used(
    graph: ChannelGraph, arch: Architecture, price: str, scope: str, round_to: int
) -> None:
    kept = allocated(graph, arch, Budget(price, fraction=0.5), scope=scope, round_to=round_to)
    cost = cost_model(graph)
    share = getattr(cost(kept), price) / getattr(cost(kept_units(graph)), price)
    assert share <= 0.5
    assert share > (0.47 if round_to == 1 else 0.3)
    assert all(kept[i] % round_to == 0 for i in graph.free)


def test_a_budget_out_of_reach_says_how_far_it_gets(graph: ChannelGraph, arch: Architecture) -> None:
    with pytest.raises(UsageError, match=r"out of reach: the smallest allowed network keeps 0\.0"):
        allocated(graph, arch, Budget("macs", fraction=0.001))


@pytest.mark.parametrize("fraction", [1.0, -0.1, float("nan"), float("inf")])
def test_rates_outside_0_to_1_are_refused(graph: ChannelGraph, arch: Architecture, fraction: float) -> None:
    with pytest.raises(UsageError):
        allocated(graph, arch, Share(fraction))


def test_protected_modules_stay_whole(graph: ChannelGraph, arch: Architecture) -> None:
    spec = PruneRequest(target=Share(0.5), protect=("layer1.*.conv1", "layer3"))
    result = allocate(graph, spec, scores_of(graph), {}, arch.name)
    whole = {d.name: d for d in result.decisions if d.kept == d.size}
    assert {"layer1.0.conv1", "layer1.2.conv1", "layer3.0.conv2", "layer3.1.conv1"} <= set(whole)
    assert whole["layer3.1.conv1"].reason == "kept by --keep layer3"


def test_a_pattern_without_a_match_is_an_error(graph: ChannelGraph, arch: Architecture) -> None:
    with pytest.raises(UsageError, match="matches no group"):
        allocate(graph, PruneRequest(target=Share(0.5), protect=("layr1",)), {}, {}, arch.name)


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_a_rate_of_its_own_holds_and_the_others_meet_the_budget(
    graph: ChannelGraph, arch: Architecture, scope: str
) -> None:
    own = (("layer3.0.conv2", 0.75),)
    kept = allocated(graph, arch, Budget("macs", fraction=0.6), scope=scope, own_rates=own)
    others = allocated(graph, arch, Budget("macs", fraction=0.6), scope=scope)
    index = graph.by_producer["layer3.0.conv2"]
    assert kept[index] == 16
    cost = cost_model(graph)
    assert 0.57 < cost(kept).macs / cost(kept_units(graph)).macs <= 0.6
    assert sum(np.delete(kept, index)) > sum(np.delete(others, index))


def test_a_rate_of_its_own_is_rounded_and_said(graph: ChannelGraph, arch: Architecture) -> None:
    own = (("layer3", 0.1), ("layer3.1.conv1", 0.4))
    spec = PruneRequest(target=Share(0.5), round_to=8, own_rates=own)
    decided = {d.name: d for d in allocate(graph, spec, {}, {}, arch.name).decisions}
    assert decided["layer3.1.conv1"].kept == 40
    assert decided["layer3.1.conv1"].reason == "--rate-of layer3.1.conv1=0.4, rounded to a multiple of 8"
    assert decided["layer3.2.conv1"].requested == 58
    assert decided["layer1.0.conv1"].kept == 8


def test_a_published_string_leaves_room_for_rates_of_their_own(
    graph: ChannelGraph, arch: Architecture
) -> None:
    target = Published("[0.]+[0.25]*11")
    plain = allocated(graph, arch, target)
    kept = allocated(graph, arch, target, own_rates=(("layer3.1.conv1", 0.5),))
    changed = graph.by_producer["layer3.1.conv1"]
    assert kept[changed] == 32
    assert np.array_equal(np.delete(kept, changed), np.delete(plain, changed))


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ((("layr1", 0.5),), "--rate-of layr1 matches no group"),
        ((("layer1", 1.0),), r"rate 1.0 is not in \[0, 1\)"),
        ((("layer2.0.conv1", 0.5),), "stays whole: kept by --keep layer2"),
    ],
)
def test_a_rate_of_its_own_that_cannot_hold_is_refused(
    graph: ChannelGraph, arch: Architecture, own: tuple[tuple[str, float], ...], problem: str
) -> None:
    spec = PruneRequest(target=Share(0.5), protect=("layer2",), own_rates=own)
    with pytest.raises(UsageError, match=problem):
        allocate(graph, spec, {}, {}, arch.name)


def test_nothing_left_to_rank_is_said(graph: ChannelGraph, arch: Architecture) -> None:
    with pytest.raises(UsageError, match="no group is left to rank"):
        allocated(graph, arch, Budget("macs", fraction=0.5), scope="global", own_rates=(("*", 0.1),))


def test_a_wrong_length_prints_the_layout(graph: ChannelGraph, arch: Architecture) -> None:
    with pytest.raises(UsageError) as caught:
        allocated(graph, arch, Published("[0.]+[0.1]*3"))
    assert "4 rates for resnet20_cifar; its coring layout takes 12" in caught.value.message
    assert "layer3.2.conv1" in caught.value.hint


def test_layers_of_one_sum_need_one_rate(graph: ChannelGraph, arch: Architecture) -> None:
    rates = "[0.]+[0.1,0.2]+[0.1,0.3]+[0.1,0.2]*7"
    with pytest.raises(UsageError, match="both feed one sum"):
        allocated(graph, arch, Published(rates, "central-filter"))


def test_ties_keep_the_lower_index() -> None:
    assert best_units(np.array([1.0, 2.0, 1.0, 1.0]), 3).tolist() == [0, 1, 2]


_RATES = st.lists(st.floats(0, 0.99), min_size=40, max_size=40)


@settings(max_examples=25, deadline=None)
@given(rates=_RATES, more=st.floats(0, 0.5), round_to=st.sampled_from([1, 4, 8]))
def test_any_rates_leave_a_network_that_runs(
    arch: Architecture, model: nn.Module, graph: ChannelGraph, rates: list[float], more: float, round_to: int
) -> None:
    """No layer is emptied, widths are rounded, parameters fall with the rates, JSON changes nothing."""
    small = _planned(graph, rates, round_to)
    smaller = _planned(graph, [r + more * (0.99 - r) for r in rates], round_to)
    for kept in (small, smaller):
        assert all(1 <= kept[i] <= graph.groups[i].size for i in graph.free)
        assert all(kept[i] % round_to == 0 for i in graph.free if kept[i] < graph.groups[i].size)
    cost = cost_model(graph)
    assert cost(smaller).params <= cost(small).params <= cost(kept_units(graph)).params
    keep = {i: best_units(scores_of(graph)[i], int(small[i])) for i in graph.free}
    plan = PrunePlan(arch=arch.name, steps=(removal(graph, keep, ()),))
    again = plan_from_json(plan_to_json(plan))
    assert again == plan
    first, second = shrink(model, plan), shrink(model, again)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert sum(p.numel() for p in first.parameters()) == cost(small).params
    assert first(*arch.example()).shape == (1, 10)


def _planned(graph: ChannelGraph, rates: list[float], round_to: int) -> np.ndarray:
    kept = kept_units(graph)
    for i, rate in zip(graph.free, rates, strict=False):
        kept[i] = max(1, int(kept[i] * (1 - rate)))
    return rounding(graph, round_to)(kept)


def test_the_cost_model_is_what_the_counters_measure(
    arch: Architecture, model: nn.Module, graph: ChannelGraph
) -> None:
    kept = allocated(graph, arch, Share(0.4))
    keep = {i: np.arange(kept[i]) for i in graph.free}
    small = shrink(model, PrunePlan(arch=arch.name, steps=(removal(graph, keep, ()),)))
    counted, computed = measure(small, arch.example()), cost_model(graph)(kept)
    assert (counted.params, counted.macs) == (computed.params, computed.macs)
