import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.base.errors import OracleError, TraceError
from compressor.channels import ChannelGraph, trace
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import check, shrink

sys.path.insert(0, str(Path(__file__).parent))
from models import MODELS, Bare, Head, conv

INPUT = [torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
INEXACT = {"layer_scale": "layer norm over channels", "group_norm": "group norm over channels"}


def half_of_every_free_group(graph: ChannelGraph, seed: int = 0) -> PrunePlan:
    rng = np.random.default_rng(seed)
    keep = {
        i: np.sort(rng.choice(graph.groups[i].size, (graph.groups[i].size + 1) // 2, replace=False))
        for i in graph.free
        if graph.groups[i].inexact is None
    }
    assert keep
    return PrunePlan(arch="test", steps=(removal(graph, keep, ()),))


def group(graph: ChannelGraph, name: str) -> int:
    return next(i for i, g in enumerate(graph.groups) if g.name == name)


@pytest.mark.parametrize("name", MODELS)
def test_the_shrunk_model_computes_what_the_masked_one_does(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    graph = trace(model, INPUT)
    plan = half_of_every_free_group(graph)
    small = shrink(model, plan)
    assert check(model, plan, INPUT).max_relative_difference <= 1e-5
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    assert {g.inexact.split(" in ")[0] for g in graph.groups if g.inexact} == (
        {INEXACT[name]} if name in INEXACT else set()
    )


def test_residual_layers_share_one_group() -> None:
    graph = trace(MODELS["residual"](), INPUT)
    shared = graph.groups[group(graph, "body.stem")]
    assert shared.size == 8
    assert shared.producers == ("body.stem.weight", "body.b.weight")
    assert shared.consumers == ("body.a.weight", "fc.weight")


def test_flattening_reads_one_unit_at_every_position() -> None:
    graph = trace(MODELS["flatten"](), INPUT)
    entry = next(e for e in graph.axes if e.tensor == "fc1.weight" and e.axis == 1)
    assert np.array_equal(entry.unit, np.repeat(np.arange(6), 16))


def test_depthwise_multiplier_makes_units_of_three_channels() -> None:
    model = MODELS["depthwise"]()
    graph = trace(model, INPUT)
    plan = PrunePlan(arch="t", steps=(removal(graph, {group(graph, "body.stem"): np.array([1, 4, 6])}, ()),))
    small = shrink(model, plan)
    assert (small.body.dw.groups, small.body.dw.in_channels, small.body.dw.out_channels) == (3, 3, 6)


def test_grouped_convolution_loses_the_same_positions_in_every_group() -> None:
    model = MODELS["grouped"]()
    graph = trace(model, INPUT)
    assert [graph.groups[group(graph, f"body.{n}")].size for n in ("stem", "grouped")] == [4, 6]
    small = shrink(model, half_of_every_free_group(graph))
    assert (small.body.grouped.groups, small.body.grouped.in_channels) == (4, 8)


def test_inputs_and_outputs_are_frozen_with_a_reason() -> None:
    graph = trace(MODELS["plain"](), INPUT)
    reasons = {g.name: g.frozen for g in graph.groups}
    assert reasons["fc"] == "output of the model"
    assert "input of the model" in reasons.values()
    assert "frozen: output of the model" in graph.explain()


def test_a_model_with_several_inputs_and_outputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out, self.side = conv(3, 8), conv(2, 8), conv(8, 4), conv(8, 3)

        def forward(self, x: Tensor, y: Tensor) -> dict[str, object]:
            joint = F.relu(self.a(x) + self.b(y))
            return {"main": self.out(joint), "more": [self.side(joint)]}

    inputs = [INPUT[0], torch.randn(1, 2, 16, 16)]
    graph = trace(Two(), inputs)
    assert [graph.groups[i].name for i in graph.free] == ["a"]
    torch.manual_seed(0)
    assert check(Two().eval(), half_of_every_free_group(graph), inputs).max_relative_difference <= 1e-5


def test_zero_padded_channels_freeze_only_what_meets_them() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = conv(3, 6), conv(3, 10), conv(10, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.pad(self.a(x), (0, 0, 0, 0, 2, 2)) + self.b(x))

    model = Padded().eval()
    graph = trace(model, INPUT)
    free = graph.groups[graph.free[0]]
    assert (len(graph.free), free.size) == (1, 6)
    assert any("constant channels" in (g.frozen or "") for g in graph.groups)
    assert check(model, half_of_every_free_group(graph), INPUT).max_relative_difference <= 1e-5


def test_an_unknown_operation_names_itself_the_module_and_the_line() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft(x).real

    with pytest.raises(TraceError) as caught:
        trace(nn.Sequential(conv(3, 4), Odd(), conv(4, 4)), INPUT)
    assert "aten._fft" in caught.value.message
    assert " at 1 (test_tracer.py:" in caught.value.message
    assert "trace_channels" in caught.value.hint


def test_a_model_that_does_not_run_says_so() -> None:
    with pytest.raises(TraceError, match="does not run on"):
        trace(nn.Sequential(conv(5, 4)), INPUT)


def test_fixed_channel_numbers_in_forward_are_caught_by_the_oracle() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(3, 8), conv(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.a(x).split(4, 1)  # looks like chunk(2), but the 4 stays
            return self.b(first + second)

    model = Fixed().eval()
    plan = half_of_every_free_group(trace(model, INPUT))
    with pytest.raises(OracleError, match="--keep"):
        check(model, plan, INPUT)


def test_slicing_channels_at_a_fixed_place_keeps_them_whole() -> None:
    class Sliced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(3, 8), conv(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x)[:, 2:5])

    graph = trace(Sliced(), INPUT)
    assert graph.free == ()
    assert "fixed positions" in str(graph.groups[0].frozen)


def test_modules_that_never_run_are_listed() -> None:
    model = Head(nn.Sequential(conv(3, 6)), 6)
    model.spare = conv(6, 6)
    assert trace(model, INPUT).unused == ("spare",)


def test_tracing_leaves_the_model_as_it_was() -> None:
    model = Head(Bare(), 6).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, INPUT)
    assert model.training
    assert model.body.training
    assert not model._forward_hooks
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_tied_weights_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = conv(3, 8), conv(8, 8), conv(8, 8), conv(8, 4)
            self.c.weight = self.b.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.d(F.relu(self.c(F.relu(self.b(F.relu(self.a(x)))))))

    model = Tied().eval()
    plan = half_of_every_free_group(trace(model, INPUT))
    small = shrink(model, plan)
    assert small.c.weight is small.b.weight
    assert small.c.weight.shape == (4, 4, 3, 3)
    assert (small.c.in_channels, small.c.out_channels) == (4, 4)
