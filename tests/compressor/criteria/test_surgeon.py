"""Removal against least squares that are solved anew each time."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from compressor.base.errors import NotFiniteError, UsageError
from compressor.channels import trace
from compressor.criteria.surgeon import Surgeon
from compressor.criteria.view import GroupView, Member, Spread, Stat
from compressor.methods.ranking import group_views
from compressor.methods.spreads import spreads_read
from compressor.tasks.classification import CLASSIFICATION


def refitted(weight: Tensor, gram: Tensor, gone: list[int], ridge: float) -> float:
    """Return the least error, ridge included, of a weight without some columns; (outputs, columns)."""
    held = gram + ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    stays = [column for column in range(len(gram)) if column not in gone]
    fit = torch.linalg.solve(held[stays][:, stays], held[stays] @ weight.T).T
    change = weight.clone()
    change[:, stays] -= fit
    return float(torch.einsum("oc,cd,od->", change, held, change))


def reader(weight: Tensor, gram: Tensor, positions: Tensor | None = None) -> Member:
    spread = Spread(gram=gram, scale=torch.ones(len(weight), dtype=torch.float64))
    return Member(tensor="w", role="consumer", values=weight, axis=1, positions=positions, spread=spread)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), units=st.integers(2, 5), taps=st.integers(1, 3), groups=st.integers(1, 2))
def test_each_removal_adds_what_the_best_fit_without_it_loses(
    seed: int, units: int, taps: int, groups: int
) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(2 * groups, units, taps, dtype=torch.float64)
    x = torch.randn(groups, 40, units * taps, dtype=torch.float64) @ torch.randn(
        units * taps, units * taps, dtype=torch.float64
    )
    gram = x.transpose(1, 2) @ x / 40
    scores = Surgeon(ridge=0.1)(GroupView(name="g", size=units, members=(reader(weight, gram),)))
    parts = weight.flatten(1).view(groups, 2, -1)
    energy = sum(float(torch.einsum("oc,cd,od->", parts[g], gram[g], parts[g])) for g in range(groups))

    def lost(gone: list[int]) -> float:
        columns = [unit * taps + tap for unit in gone for tap in range(taps)]
        return sum(refitted(parts[g], gram[g], columns, 0.1) for g in range(groups)) / energy

    gone, before, highest, expected = list[int](), 0.0, 0.0, torch.empty(units, dtype=torch.float64)
    while len(gone) < units:
        rest = [unit for unit in range(units) if unit not in gone]
        costs = {unit: lost([*gone, unit]) - before for unit in rest}
        least = min(costs, key=lambda unit: costs[unit])
        gone, before, highest = [*gone, least], before + costs[least], max(highest, costs[least])
        expected[least] = highest
    assert scores.tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_a_channel_that_others_can_stand_in_for_goes_first_however_large_its_weights() -> None:
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.cat([x, x[:, :1] + x[:, 1:2]], dim=1)
    weight = torch.tensor([[1.0, 1.0, 0.5, 9.0]], dtype=torch.float64)
    view = GroupView(name="g", size=4, members=(reader(weight, (x.T @ x)[None] / 200),))
    scores = Surgeon(ridge=1e-6)(view)
    assert int(scores.argmin()) != 2  # the only one that nothing else resembles
    assert float(scores.min()) < 1e-4 * float(scores[2])


def net() -> nn.Sequential:
    torch.manual_seed(0)
    grouped = nn.Conv2d(8, 4, 3, stride=2, groups=2, bias=False)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), grouped, nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5)
    ).eval()


def test_spreads_are_the_moments_of_what_layers_read() -> None:
    model = net()
    with torch.no_grad():
        model[3].weight.uniform_(0.5, 2)
        model[3].running_var.uniform_(0.5, 2)
    images = torch.randn(6, 3, 9, 9)
    graph = trace(model, [images[:1]])
    found = spreads_read(
        model, graph, [(images[:4], torch.arange(4)), (images[4:], torch.arange(2))], CLASSIFICATION
    )
    rows = nn.functional.unfold(model[:2](images), 3, stride=2).transpose(1, 2).reshape(-1, 72)
    for group in range(2):
        mine = rows[:, 36 * group : 36 * (group + 1)].detach().double()
        expected = torch.cov(mine.T, correction=0)
        assert torch.allclose(found["2.weight"].gram[group], expected, atol=1e-5)
    assert torch.allclose(
        found["2.weight"].scale, (model[3].weight / (model[3].running_var + 1e-5).sqrt()).double()
    )
    assert found["5.weight"].gram.shape == (1, 36, 36)
    assert (found["5.weight"].scale == 1).all()


def test_without_a_norm_or_bias_means_count() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False), nn.Flatten()).eval()
    images = torch.randn(3, 3, 5, 5)
    found = spreads_read(model, trace(model, [images[:1]]), [(images, torch.arange(3))], CLASSIFICATION)
    rows = model[:2](images).transpose(0, 1).flatten(1).T.double().detach()
    assert torch.allclose(found["2.weight"].gram[0], rows.T @ rows / len(rows), atol=1e-5)


def test_a_transposed_convolution_is_read_tap_by_tap() -> None:
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(4, 3, 2, stride=2)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), up, nn.Flatten()).eval()
    images = torch.randn(8, 3, 5, 5)
    graph = trace(model, [images[:1]])
    view = group_views(model, graph, Surgeon(), [(images, torch.arange(8))])[0]
    x = model[:2](images).transpose(0, 1).flatten(1).detach().double()
    gram = torch.cov(x, correction=0)
    taps = up.weight.detach().double().permute(1, 2, 3, 0).reshape(12, 4)
    energy = float(torch.einsum("oc,cd,od->", taps, gram, taps))
    expected = [refitted(taps, gram, [unit], 0.01) / energy for unit in range(4)]
    assert float(Surgeon()(view).min()) == pytest.approx(min(expected), rel=1e-4)


@dataclass(frozen=True)
class Both(Surgeon):
    """Needs two statistics."""

    needs: ClassVar[frozenset[Stat]] = frozenset({Stat.GRADIENTS, Stat.SPREADS})


def test_a_criterion_that_needs_two_statistics_has_both_of_all_images() -> None:
    model, images = net(), torch.randn(6, 3, 9, 9)
    graph = trace(model, [images[:1]])
    batches = [(images[:4], torch.arange(4)), (images[4:], torch.arange(2))]
    view = next(iter(group_views(model, graph, Both(), iter(batches)).values()))
    alone = next(iter(group_views(model, graph, Surgeon(), batches).values()))
    assert all(member.gradients is not None for member in view.filters)
    for both, one in zip(view.having("consumer"), alone.having("consumer"), strict=True):
        assert both.spread is not None
        assert one.spread is not None
        assert torch.equal(both.spread.gram, one.spread.gram)


def test_it_says_what_is_missing() -> None:
    model, image = net(), torch.randn(1, 3, 9, 9)
    graph = trace(model, [image])
    with pytest.raises(UsageError, match="there is no data"):
        group_views(model, graph, Surgeon())
    with pytest.raises(UsageError, match="no inputs of layers"):
        group_views(model, graph, Surgeon(), [])
    with pytest.raises(NotFiniteError, match=r"the input of [25]\.weight"):
        group_views(model, graph, Surgeon(), [(image * float("nan"), torch.arange(1))])
    with pytest.raises(UsageError, match="nothing is known of the layers that read g"):
        Surgeon()(GroupView(name="g", size=2, members=()))
    with pytest.raises(UsageError, match="ridge of surgeon is 0"):
        Surgeon(ridge=0)
