"""Cutting in shots: the widths of every shot, and where the last one ends."""

from dataclasses import replace
from typing import Any

import pytest

from compressor.chain.files import pipeline_from_tables
from compressor.chain.recipes import dense, dry_run
from compressor.chain.settings import Pipeline
from compressor.channels import trace
from compressor.channels.cost import Cost
from compressor.rates import Budget, PruneRequest, Published, Target
from compressor.rates.shots import Paid, Shot, dense_widths, request_of_shot
from compressor.steps.plan import PrunePlan
from compressor.zoo import find

SHOTS = 3


def pipeline(arch: str = "resnet20_cifar", shots: int = SHOTS, **prune: Any) -> Pipeline:
    several = {"shots": shots, "calibration_epochs": shots} if shots > 1 else {}
    tables = {"model": {"arch": arch}, "prune": {"method": "l1", **prune, **several}}
    return pipeline_from_tables(tables, where="test")


def kept(plan: PrunePlan) -> dict[str, int]:
    return {group.name: group.kept for group in plan.decisions}


def untouched(price: str) -> Paid:
    """Return what a model costs of which nothing was removed yet."""
    return Paid(dense=1.0, now=1.0)


def costs_after_each_shot(asked: Pipeline) -> list[Cost]:
    return [shot.cost_after for shot in dry_run(asked).shots]


def test_published_rates_grow_shot_by_shot_against_the_dense_widths() -> None:
    rates = {"layer1.0.conv1": 0.5, "layer2.1.conv1": 0.75}
    asked = pipeline(rates="[0.]+[0.]*2+[0.5]+[0.]*2+[0.]+[0.75]+[0.]+[0.]*3")
    shots = [kept(plan) for plan in dry_run(asked).plans]
    widths = {"layer1.0.conv1": 16, "layer2.1.conv1": 32}
    for name, rate in rates.items():
        expected = [int(widths[name] * (1 - rate / (SHOTS - s))) for s in range(SHOTS)]
        assert [shot[name] for shot in shots] == expected


@pytest.mark.parametrize(
    ("arch", "rates"),
    [
        ("resnet20_cifar", "[0.]+[0.18]*11"),
        ("densenet40_cifar", "[0.]+[0.3]*12+[0.1]+[0.3]*12+[0.1]+[0.3]*12"),
        ("mobilenet_v2_cifar", "[0.]+[0.1]+[0.25]*2+[0.25]*2+[0.3]*2"),
    ],
)
def test_the_last_shot_ends_where_one_shot_would(arch: str, rates: str) -> None:
    once = dry_run(pipeline(arch, shots=1, rates=rates)).manifest
    thrice = dry_run(pipeline(arch, rates=rates)).manifest
    assert thrice.cost_after == once.cost_after
    assert thrice.cost_before == once.cost_before
    assert len(thrice.plan.steps) == SHOTS


def test_rounding_never_makes_a_group_wider_again() -> None:
    """Rounded to a multiple of 8, the first shot goes below what the second would keep."""
    asked = pipeline(rates="[0.]+[0.]*2+[0.4]*9", round_to=8)
    for plan in dry_run(asked).plans:
        assert all(group.kept <= group.size for group in plan.decisions)


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("target", ["macs", "params"])
def test_a_budget_is_reached_in_steps_of_the_whole_cut(target: str, scope: str) -> None:
    final = 0.4
    asked = pipeline(**{target: final, "scope": scope})
    whole = getattr(dense(asked).manifest.cost_before, target)
    left = [getattr(cost, target) / whole for cost in costs_after_each_shot(asked)]
    for number, share in enumerate(left):
        goal = 1 - (1 - final) / (SHOTS - number)
        assert goal - 0.05 < share <= goal + 1e-9  # 0.05: a channel of a small network is that large


def test_a_rate_is_reached_within_a_channel() -> None:
    asked = pipeline(rate=0.5)
    last = kept(dry_run(asked).plans[-1])
    once = kept(dry_run(pipeline(shots=1, rate=0.5)).plans[-1])
    assert all(abs(last[name] - width) <= 1 for name, width in once.items())


def test_all_shots_together_keep_to_the_largest_rate() -> None:
    asked = pipeline(params=0.3, scope="global", max_rate=0.6)
    sizes = {g.name: g.size for g in dry_run(asked).plans[0].decisions}
    last = kept(dry_run(asked).plans[-1])
    assert all(width >= 0.4 * sizes[name] - 1 for name, width in last.items())
    assert min(last[name] / sizes[name] for name in last) < 0.5  # the limit is felt


def test_dense_widths_are_those_of_the_layers() -> None:
    arch = find("resnet20_cifar")
    model = arch.build()
    widths = dense_widths(trace(model, arch.example()))
    assert widths["conv1"] == 16
    assert widths["layer3.2.conv2"] == 64


def test_one_shot_asks_what_was_asked() -> None:
    spec = PruneRequest(target=Budget("macs", fraction=0.3))
    assert request_of_shot(spec, Shot(number=1, total=1), untouched) == spec
    string = PruneRequest(target=Published("[0.]"))
    assert request_of_shot(string, Shot(number=2, total=3), untouched) == string


def test_the_parts_of_the_largest_rate_multiply_to_the_whole() -> None:
    spec = PruneRequest(target=Budget("macs", fraction=0.2), max_rate=0.9)
    left = 1.0
    for number in (1, 2, 3, 4):
        left *= 1 - request_of_shot(spec, Shot(number=number, total=4), untouched).max_rate
    assert left == pytest.approx(0.1)


@pytest.mark.parametrize("target", [Published("[0.]"), Budget("macs", fraction=0.5)])
def test_rates_of_their_own_are_reached_by_the_last_shot(target: Target) -> None:
    whole = PruneRequest(target=target, own_rates=(("fc", 0.6),))
    left = []
    for number in (1, 2, 3):
        ((_, rate),) = request_of_shot(whole, Shot(number=number, total=3), untouched).own_rates
        left.append((left[-1] if left else 1.0) * (1 - rate))
    assert left == pytest.approx([0.8, 0.7, 0.4])


def test_nothing_to_remove_is_no_division_by_zero() -> None:
    whole = PruneRequest(target=Budget("macs", fraction=1.0), max_rate=0.75)
    asked = request_of_shot(whole, Shot(number=1, total=2), untouched)
    assert asked == replace(whole, max_rate=0.5)


@pytest.mark.parametrize("amount", [0.4, 2.0])
def test_an_amount_is_approached_in_equal_parts_of_the_cut(amount: float) -> None:
    """Amounts stay amounts, measured on the dense model, whatever earlier shots have left."""
    whole = PruneRequest(target=Budget("macs", absolute=amount), max_rate=0.75)
    asked = [
        request_of_shot(whole, Shot(number=n, total=3), lambda price: Paid(dense=1.0, now=0.7)).target
        for n in (1, 2, 3)
    ]
    expected = [1 - (1 - amount) / (3 - s) for s in range(3)]
    assert [target.absolute for target in asked if isinstance(target, Budget)] == pytest.approx(expected)


def test_a_share_is_relative_to_what_earlier_shots_have_left() -> None:
    whole = PruneRequest(target=Budget("macs", fraction=0.4))
    asked = request_of_shot(whole, Shot(number=2, total=3), lambda price: Paid(dense=200.0, now=160.0))
    assert asked.target == Budget("macs", fraction=(1 - 0.6 / 2) / 0.8)


def test_an_amount_is_reached_by_the_last_shot() -> None:
    whole = dense(pipeline(params=0.5)).manifest.cost_before.params
    final = 0.4 * whole
    left = [cost.params for cost in costs_after_each_shot(pipeline(params=final))]
    for number, params in enumerate(left):
        goal = whole - (whole - final) / (SHOTS - number)
        assert goal - 0.05 * whole < params <= goal + 1e-6
