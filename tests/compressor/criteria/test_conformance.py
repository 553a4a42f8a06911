"""What every criterion must do, for every criterion in the registry."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from compressor.channels import trace
from compressor.criteria import CRITERIA
from compressor.methods.ranking import group_views, ranked
from compressor.steps.shrink import perturb_norms
from compressor.zoo import find


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    model = find("resnet20_cifar").build()
    return perturb_norms(model)


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    # Smooth images: of noise, every feature map has full rank and HRank cannot tell channels apart.
    small = [torch.randn(4, 3, 4, 4, generator=generator) for _ in range(2)]
    return [(F.interpolate(x, scale_factor=8, mode="bilinear"), torch.arange(4)) for x in small]


@pytest.mark.parametrize("name", list(CRITERIA))
def test_scores_are_finite_one_per_unit_and_repeatable(name: str, model: nn.Module) -> None:
    graph = trace(model, find("resnet20_cifar").example())
    criterion = CRITERIA.get(name)()
    first = ranked(criterion, group_views(model, graph, criterion, batches()))
    again = ranked(criterion, group_views(model, graph, criterion, batches()))
    for index in graph.free:
        assert first[index].shape == (graph.groups[index].size,)
        assert (first[index] == again[index]).all()
        assert len(set(first[index].tolist())) > 1


@pytest.mark.parametrize("name", sorted(set(CRITERIA) - {"random"}))
def test_permuting_channels_permutes_scores(name: str) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2)
    order = torch.randperm(8)
    permuted = nn.Sequential(*[type(m)(*_arguments(m)) for m in model]).eval()
    state = model.state_dict()
    for key, value in state.items():
        if key.startswith(("0.", "1.")) and value.ndim:
            state[key] = value[order]
    state["3.weight"] = state["3.weight"][:, order]
    permuted.load_state_dict(state)
    criterion = CRITERIA.get(name)()
    x = [torch.randn(1, 3, 16, 16)]
    data = [(torch.randn(4, 3, 16, 16), torch.arange(4))]
    before = ranked(criterion, group_views(model, trace(model, x), criterion, data))
    after = ranked(criterion, group_views(permuted, trace(permuted, x), criterion, data))
    assert after[0] == pytest.approx(before[0][order.numpy()], rel=1e-4)


def _arguments(module: nn.Module) -> tuple[object, ...]:
    if isinstance(module, nn.Conv2d):
        return module.in_channels, module.out_channels, module.kernel_size
    return (8,) if isinstance(module, nn.BatchNorm2d) else (1,) * isinstance(module, nn.AdaptiveAvgPool2d)
