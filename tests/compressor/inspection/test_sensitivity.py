"""What each group costs, on networks small enough to derive every number by hand."""

import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.channels.cost import Cost
from compressor.criteria import CRITERIA
from compressor.inspection.sensitivity import (
    Point,
    by_group,
    most_sensitive_first,
    plan_study,
    sensitivity,
)
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Share
from compressor.steps.shrink import shrink
from compressor.zoo import Architecture, find
from compressor.zoo.inputs import InputSpec

SIDE = 6


class Net(nn.Module):
    """Two prunable groups: 4 units (conv a) and 8 units (conv b); the ten outputs are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.b = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.b(self.a(x).relu()).relu().mean(dim=(2, 3))
        logits: Tensor = self.head(features)
        return logits


NET = Architecture(name="net", constructor=Net, input=InputSpec(shapes=((1, SIDE, SIDE),)))
L1 = CRITERIA.get("l1")()


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return NET.build()


def widths(model: nn.Module) -> tuple[int, int]:
    return len(model.get_parameter("a.weight")), len(model.get_parameter("b.weight"))


def test_each_group_is_pruned_alone_at_each_rate(net: nn.Module) -> None:
    seen = []

    def score(model: nn.Module) -> float:
        seen.append(widths(model))
        return float(10 * len(seen))

    points = list(sensitivity(net, NET, L1, [0.75, 0.5], score))
    assert seen == [(2, 8), (1, 8), (4, 4), (4, 2)]
    assert [(p.group, p.size, p.rate, p.kept, p.quality) for p in points] == [
        ("a", 4, 0.5, 2, 10.0),
        ("a", 4, 0.75, 1, 20.0),
        ("b", 8, 0.5, 4, 30.0),
        ("b", 8, 0.75, 2, 40.0),
    ]
    for point, (a, b) in zip(points, seen, strict=True):
        assert point.macs == (9 * a + 9 * a * b) * SIDE**2 + 10 * b
        assert point.params == 9 * a + 9 * a * b + 10 * b + 10
    assert widths(net) == (4, 8)


def test_the_dense_cost_is_that_of_the_whole_network(net: nn.Module) -> None:
    study = plan_study(net, NET, L1, [0.5])
    assert study.dense == Cost(macs=(9 * 4 + 9 * 4 * 8) * SIDE**2 + 80, params=36 + 288 + 80 + 10)


def test_scoring_happens_point_by_point(net: nn.Module) -> None:
    scored: list[nn.Module] = []

    def score(model: nn.Module) -> float:
        scored.append(model)
        return 0.0

    points = sensitivity(net, NET, L1, [0.5], score)
    next(points)
    assert len(scored) == 1


@pytest.mark.parametrize("method", ["l1", "coring"])
def test_the_units_that_go_are_those_that_prune_removes(method: str) -> None:
    arch = find("resnet20_cifar")
    torch.manual_seed(0)
    model, criterion = arch.build(), CRITERIA.get(method)()
    together = make_plan(model, arch, PruneRequest(target=Share(0.3)), criterion).plan
    smaller = shrink(model, together)
    cuts = plan_study(model, arch, criterion, [0.3]).cuts
    assert [(c.group, c.kept) for c in cuts] == [
        (g.name, g.kept) for g in together.decisions if g.kept < g.size
    ]
    for cut in cuts:
        name = f"{cut.group}.weight"
        alone = shrink(model, cut.plan).get_parameter(name)
        inputs = smaller.get_parameter(name).shape[1]
        assert len(alone) == len(smaller.get_parameter(name)) == cut.kept
        if alone.shape[1] == inputs:
            assert torch.equal(alone, smaller.get_parameter(name))


def test_what_is_scored_computes_what_masking_computes(net: nn.Module) -> None:
    x = torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    for cut in plan_study(net, NET, L1, [0.25, 0.5]).cuts:
        torch.testing.assert_close(shrink(net, cut.plan)(x), cut.plan.steps[0].mask(net)(x))


@pytest.mark.parametrize(
    ("patterns", "groups"),
    [
        (["b"], ["b"]),
        (["b", "a"], ["a", "b"]),
        (["[ab]"], ["a", "b"]),
        (["*"], ["a", "b"]),
        ([], ["a", "b"]),
    ],
)
def test_patterns_choose_groups_in_network_order(
    net: nn.Module, patterns: list[str], groups: list[str]
) -> None:
    assert [cut.group for cut in plan_study(net, NET, L1, [0.5], groups=patterns).cuts] == groups


def test_a_pattern_reaches_groups_through_any_of_their_producers() -> None:
    """layer1.1.conv2 adds to the stem's channels; the group is named after the stem."""
    arch = find("resnet20_cifar")
    torch.manual_seed(0)
    model = arch.build()
    named = {cut.group for cut in plan_study(model, arch, L1, [0.5], groups=["layer3.0"]).cuts}
    assert named == {"layer3.0.conv1", "layer3.0.conv2"}
    through = plan_study(model, arch, L1, [0.5], groups=["layer3.2.conv2"]).cuts
    assert [cut.group for cut in through] == ["layer3.0.conv2"]


def test_a_study_without_images_is_refused_where_the_criterion_needs_them(net: nn.Module) -> None:
    with pytest.raises(UsageError, match="needs gradients"):
        plan_study(net, NET, CRITERIA.get("taylor")(), [0.5])


def test_impossible_requests_say_what_to_do(net: nn.Module) -> None:
    for rates, patterns, message in (
        ([], [], "no rates"),
        ([1.0], [], r"1.0 is not in \[0, 1\)"),
        ([0.5], ["c"], "--group c matches no group"),
        ([0.5], ["head"], "head cannot be pruned: output of the model"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            plan_study(net, NET, L1, rates, groups=patterns)
        assert error.value.hint


def _point(group: str, quality: float, macs: int) -> Point:
    return Point(group=group, size=4, rate=0.5, kept=2, quality=quality, macs=macs, params=1)


def test_groups_are_ranked_by_quality_lost_per_percent_of_macs() -> None:
    points = [
        _point("a", 80, 900),  # loses 10 points for 10 %
        _point("a", 60, 800),  # and 30 for 20 %: 40 / 30 together
        _point("b", 85, 500),  # 5 / 50
        _point("c", 91, 900),  # gains 1: -1 / 10
        _point("d", 10, 1000),  # saves nothing
    ]
    groups = by_group(points, quality=90, cost=Cost(params=1, macs=1000))
    assert [g.group for g in groups] == ["a", "b", "c", "d"]
    assert [len(g.points) for g in groups] == [2, 1, 1, 1]
    assert [g.loss_per_macs for g in groups[:3]] == pytest.approx([40 / 30, 0.1, -0.1])
    assert groups[3].loss_per_macs is None
    assert [g.group for g in most_sensitive_first(groups)] == ["a", "b", "c"]
