"""What modules hide from the tracer is counted as they say, and held against independent counters."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.base.errors import TraceError
from compressor.channels import ChannelGraph, ChannelPad, trace
from compressor.channels.cost import cost_model, kept_units, measure
from compressor.channels.ledger import HiddenCost
from compressor.channels.tracer import Tracer
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import check, shrink

X = [torch.randn(1, 3, 12, 10, generator=torch.Generator().manual_seed(0))]


class Hidden(nn.Module):
    """A strided convolution, followed by one that mixes its outputs, both behind one face."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(a, 7, 3, stride=2, padding=1)
        self.second = nn.Conv2d(7, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)))

    def trace_channels(self, tracer: Tracer, x: Tensor, out: Tensor) -> None:
        tracer.consume(self, "in", x, axis=1)
        tracer.produce(self, "out", out, axis=1)

    def hidden_costs(self, x: Tensor, out: Tensor) -> Sequence[HiddenCost]:
        positions = out.shape[2] * out.shape[3]
        return (
            HiddenCost(sides=("in",), params=7 * 9, macs=7 * 9 * positions),
            HiddenCost(sides=("out",), params=7 + 1, macs=7 * positions),
            HiddenCost(params=7),
        )

    def change_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        if side == "in":
            weight = self.first.weight.new_zeros(7, len(take), 3, 3)
            weight.index_add_(1, torch.tensor([i for i in into if i >= 0]), self._read(into))
            self.first.weight, self.first.in_channels = nn.Parameter(weight), len(take)
        else:
            kept = torch.tensor(list(take))
            self.second.weight = nn.Parameter(self.second.weight.data[kept])
            self.second.bias = nn.Parameter(self.second.bias.data[kept])
            self.second.out_channels = len(take)

    def _read(self, into: Sequence[int]) -> Tensor:
        return self.first.weight.data[:, [old for old, new in enumerate(into) if new >= 0]]

    def mask_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        if side == "in":
            weight = torch.zeros_like(self.first.weight)
            target = torch.tensor([take[i] for i in into if i >= 0])
            weight.index_add_(1, target, self._read(into))
            self.first.weight = nn.Parameter(weight)


def net(kind: type[Hidden] = Hidden) -> nn.Sequential:
    torch.manual_seed(0)
    stem, head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(12, 5, 1)
    return nn.Sequential(stem, kind(8, 12), nn.BatchNorm2d(12), head).eval()


def half(graph: ChannelGraph) -> tuple[PrunePlan, np.ndarray]:
    keep = {i: np.arange(0, graph.groups[i].size, 2) for i in graph.free}
    kept = kept_units(graph)
    for index, units in keep.items():
        kept[index] = len(units)
    return PrunePlan(arch="test", steps=(removal(graph, keep, ()),)), kept


def test_cost_through_the_graph_is_that_of_independent_counters() -> None:
    model = net()
    graph = trace(model, X)
    assert [graph.groups[i].name for i in graph.free] == ["0", "1"]
    counted = measure(model, X)
    assert replace(counted, thop_macs=None) == cost_model(graph)(kept_units(graph))
    plan, kept = half(graph)
    small = shrink(model, plan)
    counted = measure(small, X)
    assert counted.params < measure(model, X).params
    assert replace(counted, thop_macs=None) == cost_model(graph)(kept)
    assert check(model, plan, X).max_relative_difference <= 1e-5


def test_a_module_that_runs_twice_has_its_weights_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = Hidden(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.hidden(self.hidden(x))

    model = Twice().eval()
    graph = trace(model, X)
    assert replace(measure(model, X), thop_macs=None) == cost_model(graph)(kept_units(graph))


def test_what_answers_for_its_weights_is_not_called_unused() -> None:
    assert trace(net(), X).unused == ()
    assert trace(net(), X).fixed_params == 0


def test_a_module_that_says_nothing_keeps_its_parameters_and_is_listed() -> None:
    class Quiet(Hidden):
        def hidden_costs(self, x: Tensor, out: Tensor) -> Sequence[HiddenCost]:
            return ()

    graph = trace(net(Quiet), X)
    own = sum(p.numel() for p in Quiet(8, 12).parameters())
    assert (graph.hidden, graph.fixed_params) == ((), own)
    assert graph.unused == ("1.first", "1.second")


def test_a_module_that_miscounts_is_refused() -> None:
    class Wrong(Hidden):
        def hidden_costs(self, x: Tensor, out: Tensor) -> Sequence[HiddenCost]:
            return (HiddenCost(sides=("in", "out"), params=9),)

    with pytest.raises(TraceError, match=r"1 says that it hides 864 parameters, it has 607") as caught:
        trace(net(Wrong), X)
    assert "hidden_costs" in caught.value.hint


def test_the_whole_model_may_describe_itself() -> None:
    model = Hidden(3, 4).eval()
    graph = trace(model, X)
    assert replace(measure(model, X), thop_macs=None) == cost_model(graph)(kept_units(graph))
    assert graph.fixed_params == 0


def test_a_pad_hides_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 1), ChannelPad(6, 10), nn.Conv2d(10, 4, 1)).eval()
    graph = trace(model, X)
    assert graph.hidden == ()
    assert replace(measure(model, X), thop_macs=None) == cost_model(graph)(kept_units(graph))
    plan, kept = half(graph)
    assert replace(measure(shrink(model, plan), X), thop_macs=None) == cost_model(graph)(kept)
