"""What widths change in the outputs, against networks that really are changed."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from compressor.base.errors import NotFiniteError
from compressor.channels import trace
from compressor.criteria.l1 import L1
from compressor.criteria.view import GroupView, Member, Spread, Statistics, group_view
from compressor.methods.effects import effects
from compressor.methods.ranking import Ranking, group_views, make_plan, ranked, ranking_of
from compressor.methods.refits import changes
from compressor.methods.spreads import spreads_read
from compressor.rates import Budget, PruneRequest
from compressor.rates.worth import Effect
from compressor.tasks.classification import CLASSIFICATION
from compressor.zoo import Architecture
from compressor.zoo.inputs import InputSpec

IMAGES = 192


class Net(nn.Module):
    """Everything behind the second convolution is linear, so that first order is all there is."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(16, 8, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.second(self.act(self.first(x)))).flatten(1))


class OneByOne(nn.Module):
    """The same, image by image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.net(image) for image in x.split(1)])


class Two(nn.Module):
    """Two branches of one shape; what the second makes hardly counts."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 3))
        self.right = copy.deepcopy(self.left)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.left(x) + 0.01 * self.right(x)).mean((2, 3)))


def images(count: int = IMAGES) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 3, 8, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    return [(part, torch.zeros(len(part), dtype=torch.long)) for part in x.split(64)]


def arch(build: type[nn.Module]) -> Architecture:
    return Architecture(name="net", constructor=build, input=InputSpec(shapes=((3, 8, 8),)))


def seen(model: nn.Module) -> tuple[dict[int, GroupView], dict[int, np.ndarray]]:
    graph = trace(model, [torch.zeros(1, 3, 8, 8)])
    statistics = Statistics(spreads=spreads_read(model, graph, images(), CLASSIFICATION))
    tensors = dict(model.named_parameters())
    groups = {index: group_view(tensors, graph, index, statistics) for index in graph.free}
    return groups, ranked(L1(), group_views(model, graph, L1()))


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), units=st.integers(2, 6), taps=st.integers(1, 3), groups=st.integers(1, 2))
def test_a_change_is_the_least_squares_fit(seed: int, units: int, taps: int, groups: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(2 * groups, units, taps, dtype=torch.float64, generator=generator)
    x = torch.randn(groups, 60, units * taps, dtype=torch.float64, generator=generator)
    gram = x.transpose(1, 2) @ x / 60
    spread = Spread(gram=gram, scale=torch.ones(2 * groups, dtype=torch.float64))
    member = Member(tensor="w", role="consumer", values=weight, axis=1, spread=spread)
    order = np.random.default_rng(seed).permutation(units)
    found = changes(GroupView(name="g", size=units, members=(member,)), order, [1])
    (one,) = list(found)
    change = one.weight
    assert (one.width, one.tensor) == (1, "w")
    assert torch.equal(one.shift, torch.zeros(2 * groups))
    assert change.shape == weight.shape
    stays = [int(order[-1]) * taps + tap for tap in range(taps)]
    for group in range(groups):
        rows, ridge = weight.flatten(1)[2 * group : 2 * group + 2], 0.01 * gram[group].diagonal().mean()
        pulled = torch.cat([x[group][:, stays], (60 * ridge).sqrt() * torch.eye(taps, dtype=torch.float64)])
        wanted = torch.cat([x[group] @ rows.T, (60 * ridge).sqrt() * rows[:, stays].T])
        fit = torch.linalg.lstsq(pulled, wanted).solution.T
        changed = (rows + change.flatten(1)[2 * group : 2 * group + 2].double())[:, stays]
        assert torch.allclose(changed, fit, atol=1e-5)
    gone = [column for column in range(units * taps) if column not in stays]
    assert torch.allclose(
        (weight.flatten(1) + change.flatten(1))[:, gone], torch.zeros(()).double(), atol=1e-6
    )


@pytest.mark.parametrize("wrap", [lambda model: model, OneByOne])
def test_an_effect_is_what_the_outputs_really_change_by(wrap) -> None:
    model = net()
    groups, importance = seen(model)
    assert list(groups) == [0, 1]
    shown = wrap(model)
    names = {"first": groups[0], "second": groups[1]}
    if shown is not model:  # as it is traced, a view has the names of what it runs
        groups = {
            i: replace(g, members=tuple(replace(m, tensor=f"net.{m.tensor}") for m in g.members))
            for i, g in groups.items()
        }
    found = effects(shown, groups, importance, images(), CLASSIFICATION)
    x = torch.cat([part for part, _ in images()])
    dense = model(x).detach()
    order = np.argsort(importance[0], kind="stable")
    checked = 0
    for change in changes(names["first"], order, found[0].units[:-1].tolist()):
        assert change.tensor == "second.weight"
        made = copy.deepcopy(model)
        made.second.weight.data += change.weight
        made.second.bias.data += change.shift
        moved = made(x).detach() - dense
        direct = float(moved.square().mean() / dense.var(correction=0))
        assert found[0].error[list(found[0].units).index(change.width)] == pytest.approx(direct, rel=0.3)
        checked += 1
    assert checked == 7
    assert found[0].error[-1] == 0
    assert (np.diff(found[0].error) <= 0).all()


def test_the_model_is_left_as_it_was() -> None:
    model = net().train()
    model.first.weight.requires_grad_(False)
    groups, importance = seen(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    effects(model, groups, importance, images(), CLASSIFICATION)
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == [False, *[True] * 5]
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_same_images_give_the_same_effects() -> None:
    model = net()
    groups, importance = seen(model)
    first, again = (effects(model, groups, importance, images(), CLASSIFICATION) for _ in range(2))
    assert (first[0].error == again[0].error).all()


def test_what_is_not_finite_is_named() -> None:
    model = net()
    groups, importance = seen(model)
    model.head.weight.data[0, 0] = float("nan")
    with pytest.raises(NotFiniteError, match="NaN or infinite on the calibration images"):
        effects(model, groups, importance, images(), CLASSIFICATION)


def test_a_branch_that_hardly_counts_pays_for_the_other() -> None:
    torch.manual_seed(0)
    model = Two().eval()
    request = PruneRequest(target=Budget("macs", fraction=0.5), scope="worth")
    kept = {}
    for name, data in (("importance", None), ("effects", images())):
        planned = make_plan(model, arch(Two), request, L1(), data)
        kept[name] = {decision.name: decision.kept for decision in planned.plan.decisions}
    left, right = "left.0", "right.0"
    assert abs(kept["importance"][left] - kept["importance"][right]) <= 1
    assert kept["effects"][left] > 3 * kept["effects"][right]


def test_readers_that_are_not_known_leave_it_to_importance(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    some = Effect(np.array([1, 16]), np.array([1.0, 0.0]))
    monkeypatch.setattr("compressor.methods.ranking.effects", lambda *_: {0: some})
    found: Ranking = ranking_of(model, arch(Net), L1(), images(), worth=True)
    assert found.effects == {}


class WithoutGradients(Net):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


def test_a_forward_that_forbids_gradients_leaves_it_to_importance() -> None:
    torch.manual_seed(0)
    found = ranking_of(WithoutGradients().eval(), arch(WithoutGradients), L1(), images(), worth=True)
    assert found.effects == {}
