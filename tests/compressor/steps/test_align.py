import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import OracleError, UsageError
from compressor.channels import trace
from compressor.channels.cost import measure
from compressor.steps.align import MAX_GROWTH, default_multiple, pad_to_multiple, widening
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import outputs_of, perturb_norms, relative_difference, shrink
from compressor.zoo import find

sys.path.insert(0, str(Path(__file__).parents[1] / "channels"))
from models import MODELS, conv

INPUT = [torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
ZOO = (
    "resnet18",
    "resnet50",
    "densenet121",
    "googlenet",
    "mobilenet_v2",
    "resnet56_cifar",
    "shufflenet_v2_x0_5",
)
ANY = float("inf")


def pruned(name: str) -> tuple[nn.Module, list[Tensor]]:
    """Return a model of the zoo with a random third of every group gone, so that most widths are odd."""
    torch.manual_seed(0)
    arch = find(name)
    arch = arch if name.endswith("_cifar") else arch.with_options(shapes=((3, 64, 64),))
    model, inputs = perturb_norms(arch.build()).eval(), list(arch.example())
    graph, rng = trace(model, inputs), np.random.default_rng(0)
    sizes = {i: graph.groups[i].size for i in graph.free}
    keep = {i: np.sort(rng.choice(n, max(1, round(0.65 * n)), replace=False)) for i, n in sizes.items()}
    return shrink(model, PrunePlan(arch=name, steps=(removal(graph, keep, ()),))), inputs


@pytest.mark.parametrize("name", ZOO)
def test_padded_networks_compute_the_same_at_whole_widths(name: str) -> None:
    model, inputs = pruned(name)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    padded, report = pad_to_multiple(model, inputs, 8, max_growth=ANY)
    assert relative_difference(outputs_of(model, inputs), outputs_of(padded, inputs)) <= 1e-5
    assert report.max_relative_difference <= 1e-5
    assert report.left == ()
    assert report.padded
    assert all(g.after % 8 == 0 and 0 < g.after - g.before < 8 * 3 for g in report.padded)
    again = pad_to_multiple(padded, inputs, 8, max_growth=ANY)[1]
    assert (again.padded, again.left) == ((), ())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert report.macs_before == measure(model, inputs).macs
    assert report.macs_after == measure(padded, inputs).macs == again.macs_before


@pytest.mark.parametrize("name", MODELS)
def test_every_structure_is_padded_or_says_why_not(name: str) -> None:
    torch.manual_seed(0)
    model = perturb_norms(MODELS[name]()).eval()
    padded, report = pad_to_multiple(model, INPUT, 5, max_growth=ANY)
    assert relative_difference(outputs_of(model, INPUT), outputs_of(padded, INPUT)) <= 1e-5
    assert all(group.after % 5 == 0 for group in report.padded)
    assert all(group.reason and group.after == group.before for group in report.left)
    assert report.padded or all(" norm over channels in " in group.reason for group in report.left)


def test_module_attributes_follow() -> None:
    model = MODELS["depthwise"]().eval()
    padded, _ = pad_to_multiple(model, INPUT, 16, max_growth=ANY)
    body = padded.body
    assert (body.stem.out_channels, body.dw.groups, body.dw.out_channels) == (16, 16, 32)
    assert (body.norm.num_features, body.out.in_channels, body.out.out_channels) == (32, 32, 16)
    assert padded.fc.in_features == 16


def test_nothing_reads_the_new_channels() -> None:
    """The padded channels carry numbers, and giving them others changes nothing."""
    model = MODELS["plain"]().eval()
    graph = trace(model, INPUT)
    index = next(i for i in graph.free if graph.groups[i].name == "body.0")
    wider = widening(graph, {index: 3}).shrink(model)
    assert wider.body[0].weight.shape[0] == 11
    expected = outputs_of(wider, INPUT)
    with torch.no_grad():
        wider.body[0].weight[8:] = 7
    assert relative_difference(expected, outputs_of(wider, INPUT)) == 0


def test_a_group_that_would_grow_too_much_is_left_with_the_reason() -> None:
    model = nn.Sequential(conv(3, 33), nn.ReLU(), conv(33, 30), nn.ReLU(), conv(30, 16)).eval()
    padded, report = pad_to_multiple(model, INPUT, 32)
    # 30 -> 32 grows its layers by 2/30; 33 -> 64 would nearly double them.
    assert [(g.name, g.before, g.after) for g in report.padded] == [("2", 30, 32)]
    (left,) = report.left
    assert (left.name, left.before, left.after) == ("0", 33, 33)
    assert left.reason == f"its layers would grow by {64 / 33 - 1:.0%}"
    assert 64 / 33 - 1 > MAX_GROWTH > 2 / 30
    assert [m.out_channels for m in padded if isinstance(m, nn.Conv2d)] == [33, 32, 16]


def test_aligned_models_come_back_unchanged() -> None:
    model = nn.Sequential(conv(3, 16), nn.ReLU(), conv(16, 5)).eval()
    padded, report = pad_to_multiple(model, INPUT, 8)
    assert (report.padded, report.left, report.macs_before) == ((), (), report.macs_after)
    assert padded is not model
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), padded.parameters(), strict=True))


def test_a_forward_with_fixed_channel_numbers_is_caught() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(3, 6), conv(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.a(x).split(3, 1)  # looks like chunk(2), but the 3 stays
            return self.b(first + second)

    with pytest.raises(OracleError, match="--align"):
        pad_to_multiple(Fixed().eval(), INPUT, 8, max_growth=ANY)


def test_the_traced_module_may_be_another_view_of_the_model() -> None:
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(conv(3, 7), nn.ReLU(), conv(7, 4))

        def forward(self, images: list[Tensor]) -> Tensor:
            return self.body(torch.stack(images))

    class View(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.body = model.body

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    model = Picky().eval()
    padded, report = pad_to_multiple(model, INPUT, 8, view=View)
    assert isinstance(padded, Picky)
    assert [(g.name, g.after) for g in report.padded] == [("body.0", 8)]
    assert torch.allclose(model([INPUT[0][0]]), padded([INPUT[0][0]]), atol=1e-6)


def test_a_multiple_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="multiples of 0"):
        pad_to_multiple(conv(3, 4), INPUT, 0)


def test_default_multiples() -> None:
    assert default_multiple("fp32") in (8, 16)
    assert default_multiple("int8") == 16
    assert [default_multiple(p, "cuda") for p in ("fp32", "fp16", "int8")] == [8, 8, 32]
