"""The Lagrangian search, against every vector of widths that there is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.base.errors import UsageError
from compressor.channels import trace
from compressor.channels.cost import cost_model, kept_units
from compressor.rates import Budget, PruneRequest, Share
from compressor.rates.additive import Additive, Term, width_of
from compressor.rates.allocate import allocate
from compressor.rates.prices import PriceOf
from compressor.rates.worth import Levels, Search, levels_of
from compressor.zoo import find

SIZES = np.array([6, 6, 6], dtype=np.int64)


def chain(weights: list[float]) -> Additive:
    """Return a price of layers between neighbouring groups, and of each group alone."""

    def between(left: int, weight: float) -> Term:
        def price(kept: np.ndarray) -> np.ndarray:
            return weight * kept[:, left] * kept[:, left + 1]

        return Term(f"layer {left}", frozenset({left, left + 1}), price)

    return Additive(0.5, tuple(between(number, weight) for number, weight in enumerate(weights)))


def all_levels(rng: np.random.Generator) -> dict[int, Levels]:
    units = np.arange(1, 7, dtype=np.int64)
    return {group: levels_of(units, rng.random(6) + 0.05) for group in range(3)}


def best_of_all(price_of: PriceOf, levels: dict[int, Levels], limit: float) -> float:
    rows = np.array(list(itertools.product(*(level.units for level in levels.values()))))
    worth = sum(levels[group].worth[rows[:, group] - 1] for group in range(3))
    return float(np.where(price_of(rows) <= limit, worth, -np.inf).max())


def worth_of(kept: np.ndarray, levels: dict[int, Levels]) -> float:
    return float(sum(levels[group].worth[kept[group] - 1] for group in range(3)))


@given(st.integers(0, 10_000), st.floats(0.2, 0.95), st.lists(st.floats(0.1, 10), min_size=2, max_size=2))
@settings(max_examples=60, deadline=None)
def test_what_is_found_is_within_the_budget_and_nearly_the_best(
    seed: int, share: float, weights: list[float]
) -> None:
    price_of, levels = chain(weights), all_levels(np.random.default_rng(seed))
    limit = share * float(price_of(SIZES[None])[0])
    kept = Search(price_of, levels, limit).from_(SIZES)
    best = best_of_all(price_of, levels, limit)
    if kept is None:
        assert best == -np.inf
        return
    assert price_of(kept[None])[0] <= limit
    spread = sum(float(level.worth[-1] - level.worth[0]) for level in levels.values())
    assert worth_of(kept, levels) >= best - 0.1 * spread


def test_parts_of_a_price_give_what_the_whole_gives() -> None:
    price_of, levels = chain([1.0, 3.0]), all_levels(np.random.default_rng(0))
    found = [Search(of, levels, 40.0).from_(SIZES) for of in (price_of, price_of.__call__)]
    assert (found[0] == found[1]).all()
    assert not (found[0] == SIZES).all()


def test_a_price_that_does_not_fall_with_every_unit_is_searched_all_the_same() -> None:
    steps = Additive(
        0.0, (Term("stair", frozenset({0}), lambda kept: np.ceil(kept[:, 0] / 4) * 4.0 - kept[:, 0] / 8),)
    )
    levels = {0: levels_of(np.arange(1, 7, dtype=np.int64), None)}
    kept = Search(steps, levels, 4.0).from_(np.array([6]))
    assert kept is not None
    assert kept[0] == 4  # the widest of the first step, which is also its cheapest


def test_what_nothing_pays_for_is_not_found() -> None:
    search = Search(chain([1.0, 1.0]), all_levels(np.random.default_rng(1)), 0.6)
    assert search.from_(SIZES) is None
    assert (search.cheapest(SIZES) == 1).all()


def test_a_group_counts_once_for_each_layer_that_makes_it() -> None:
    arch = find("resnet20_cifar")
    model = arch.build()
    graph = trace(model, arch.example())
    request = PruneRequest(target=Budget("macs", fraction=0.5), scope="worth")
    kept = allocate(graph, request, {}, arch.layouts, arch.name).kept
    share = {group.name: kept[index] / group.size for index, group in enumerate(graph.groups)}
    assert cost_model(graph)(kept).macs <= 0.5 * cost_model(graph)(kept_units(graph)).macs
    assert share["layer1.0.conv2"] > share["layer1.1.conv1"] > 0.1  # a stage of four layers, and one


def test_the_most_worth_uses_the_budget() -> None:
    arch = find("resnet20_cifar")
    graph = trace(arch.build(), arch.example())
    request = PruneRequest(target=Budget("macs", fraction=0.5), scope="worth", round_to=4)
    kept = allocate(graph, request, {}, arch.layouts, arch.name).kept
    share = cost_model(graph)(kept).macs / cost_model(graph)(kept_units(graph)).macs
    assert 0.48 < share <= 0.5
    assert all(kept[index] % 4 == 0 for index in graph.free)


def test_protected_and_own_rates_hold() -> None:
    arch = find("resnet20_cifar")
    graph = trace(arch.build(), arch.example())
    request = PruneRequest(
        target=Budget("macs", fraction=0.6), scope="worth", protect=("layer1.0.conv1",),
        own_rates=(("layer2.0.conv1", 0.75),), max_rate=0.6,
    )  # fmt: skip
    allocation = allocate(graph, request, {}, arch.layouts, arch.name)
    kept = {decision.name: decision.kept for decision in allocation.decisions}
    assert kept["layer1.0.conv1"] == 16
    assert kept["layer2.0.conv1"] == 8
    assert all(d.kept >= round(0.4 * d.size) for d in allocation.decisions if d.name != "layer2.0.conv1")


def test_a_rate_is_no_budget() -> None:
    arch = find("resnet20_cifar")
    graph = trace(arch.build(), arch.example())
    with pytest.raises(UsageError, match="a rate is none"):
        allocate(graph, PruneRequest(target=Share(0.5), scope="worth"), {}, {}, arch.name)


def test_the_width_of_an_axis_is_a_sum_of_units() -> None:
    arch = find("densenet40_cifar")
    graph = trace(arch.build(), arch.example())
    dense = kept_units(graph)
    rng = np.random.default_rng(0)
    for axis in graph.axes:
        width = width_of(graph, axis)
        assert width(dense[None])[0] == axis.size
        kept = rng.integers(1, dense + 1)
        alive = sum(int((axis.unit[axis.group == g] < kept[g]).sum()) for g in axis.groups)
        assert width(kept[None])[0] == alive
