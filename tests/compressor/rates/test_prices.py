"""What every price must do, for every price in the registry, and what allocation makes of an odd one."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch

from compressor.base import registry
from compressor.base.errors import UsageError
from compressor.base.registry import Registry
from compressor.channels import ChannelGraph, trace
from compressor.channels.cost import cost_model, kept_units, measure
from compressor.cli import main
from compressor.rates import Budget, PruneRequest
from compressor.rates.allocate import allocate
from compressor.rates.prices import PRICES, PriceOf, whole_price
from compressor.zoo import find


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    torch.manual_seed(0)
    arch = find("resnet20_cifar")
    return trace(arch.build(), arch.example())


def widths(graph: ChannelGraph, count: int) -> np.ndarray:
    """Return random networks, one a row."""
    rng = np.random.default_rng(0)
    kept = np.tile(kept_units(graph), (count, 1))
    free = list(graph.free)
    kept[:, free] = rng.integers(1, kept[:, free] + 1)
    return kept


@pytest.mark.parametrize("name", list(PRICES))
def test_networks_are_priced_together_as_alone(name: str, graph: ChannelGraph) -> None:
    price = PRICES.get(name)
    kept = widths(graph, 50)
    together = price.of(graph)(kept)
    assert together.shape == (50,)
    assert np.isfinite(together).all()
    assert (together > 0).all()
    assert together.tolist() == [price.of(graph)(row[None])[0] for row in kept]
    assert whole_price(price, graph) == price.of(graph)(kept_units(graph)[None])[0]
    assert price.unit


@pytest.mark.parametrize("arch", ["resnet20_cifar", "mobilenet_v2_cifar", "vit_b_16", "shufflenet_v2_x0_5"])
def test_macs_and_parameters_are_what_the_counters_measure(arch: str) -> None:
    found = find(arch)
    model = found.build()
    graph, counted = trace(found.view(model), found.example()), measure(found.view(model), found.example())
    assert whole_price(PRICES.get("macs"), graph) == counted.macs
    assert whole_price(PRICES.get("params"), graph) == counted.params


def test_the_prices_are_the_sums_over_the_parameters(graph: ChannelGraph) -> None:
    """Sizes are products of axis widths, one after the other: the formula, without any vectors."""
    for kept in widths(graph, 5):
        params, macs = graph.fixed_params, 0
        size = {name: int(np.prod(shape)) for name, shape in graph.shapes.items()}
        for entry in graph.axes:
            if entry.tensor in size:
                left = sum(entry.unit[i] < kept[entry.group[i]] for i in range(entry.size))
                size[entry.tensor] = size[entry.tensor] // entry.size * int(left)
        params += sum(size.values())
        macs += sum(size[name] * graph.positions.get(name, 0) for name in size)
        cost = cost_model(graph)(kept)
        assert (cost.params, cost.macs) == (params, macs)


@dataclass(frozen=True)
class Staircase:
    """A part of a block of 8 costs as much as two whole ones: cheaper is not smaller."""

    unit: ClassVar[str] = "blocks"

    def of(self, graph: ChannelGraph) -> PriceOf:
        return lambda kept: (kept // 8 + np.where(kept % 8 > 0, 2.0, 0.0)).sum(axis=1)


@pytest.fixture
def staircase(monkeypatch: pytest.MonkeyPatch) -> Staircase:
    list(PRICES)  # loaded before anything is added
    price = Staircase()
    monkeypatch.setitem(PRICES._entries, "stairs", price)
    return price


def scores_of(graph: ChannelGraph) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(0)
    return {i: rng.random(graph.groups[i].size) for i in graph.free}


def members(graph: ChannelGraph, scope: str) -> Iterator[np.ndarray]:
    """Yield the members of a family one by one, from its definition."""
    sizes, free, scores = kept_units(graph), list(graph.free), scores_of(graph)
    if scope == "uniform":
        for step in range(2001):
            kept = sizes.copy()
            kept[free] = np.maximum(1, np.rint(sizes[free] * (1 - 0.9 * step / 2000)))
            yield kept
        return
    ranking = sorted((score, i) for i in free for score in scores[i])
    kept = sizes.copy()
    yield kept.copy()
    for _, group in ranking:
        floor = max(1, round(sizes[group] * (1 - 0.9)))
        kept[group] = max(kept[group] - 1, floor)
        yield kept.copy()


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("name", ["stairs", "macs", "params"])
@pytest.mark.parametrize("fraction", [0.9, 0.6, 0.55])
def test_a_budget_is_met_by_the_first_member_that_is_cheap_enough(
    graph: ChannelGraph, staircase: Staircase, name: str, scope: str, fraction: float
) -> None:
    price = PRICES.get(name)
    of, dense = price.of(graph), whole_price(price, graph)
    expected = next(kept for kept in members(graph, scope) if of(kept[None])[0] <= fraction * dense)
    request = PruneRequest(target=Budget(name, fraction=fraction), scope=scope)
    assert np.array_equal(allocate(graph, request, scores_of(graph), {}, "net").kept, expected)
    amount = PruneRequest(target=Budget(name, absolute=fraction * dense), scope=scope)
    assert np.array_equal(allocate(graph, amount, scores_of(graph), {}, "net").kept, expected)


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_bisection_could_have_missed_the_largest_network(
    graph: ChannelGraph, staircase: Staircase, scope: str
) -> None:
    """The case is a hard one: between networks that are within the budget lie some that are not."""
    limit = 0.6 * whole_price(staircase, graph)
    within = [staircase.of(graph)(kept[None])[0] <= limit for kept in members(graph, scope)]
    assert sum(a != b for a, b in pairwise(within)) > 1


def test_out_of_reach_is_said_in_the_unit_of_the_price(graph: ChannelGraph, staircase: Staircase) -> None:
    cheapest = min(staircase.of(graph)(kept[None])[0] for kept in members(graph, "uniform"))
    with pytest.raises(UsageError) as caught:
        allocate(graph, PruneRequest(target=Budget("stairs", absolute=5.5)), {}, {}, "net")
    assert "--stairs 5.5 blocks is out of reach" in caught.value.message
    assert f"the smallest allowed network costs {cheapest:g} blocks" in caught.value.message
    assert "--max-rate" in caught.value.hint


def test_the_decorator_adds_a_price_to_the_messages_and_the_command_line(
    staircase: Staircase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["compress", "prune", "resnet20_cifar", *words, "--dry-run"])
        with pytest.raises(SystemExit) as end:
            main()
        out = capsys.readouterr()
        return int(end.value.code or 0), out.out + out.err

    code, text = said()
    assert code == 2
    assert "--rates, --rate, --latency, --macs, --params, --budget stairs." in " ".join(text.split())
    code, text = said("--budget", "stairs=0.6")
    assert code == 0, text


def test_a_price_of_another_distribution_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="stairs", value=f"{__name__}:Staircase", group="compress.price")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Staircase())
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "compress.price" else [])
    prices: Registry[object] = Registry("price", "compressor.rates.prices")
    assert "stairs" in prices
    assert isinstance(prices.get("stairs"), Staircase)
