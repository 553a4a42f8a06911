import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from compressor.channels import cost, trace
from compressor.channels.cost import cost_model, kept_units, measure

X = [torch.randn(1, 3, 12, 10)]


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ConvTranspose2d(8, 4, 2, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )


def test_both_ways_of_counting_give_the_formula() -> None:
    small = 6 * 5  # positions after the stride
    macs = small * 8 * 3 * 9 + small * 8 * 9 + small * 8 * 4 * 4 + 4 * 5
    params = 8 * 27 + 2 * 8 + 8 * 9 + 8 + 8 * 4 * 4 + 4 + 4 * 5 + 5
    model = net().eval()
    counted = measure(model, X)
    assert (counted.params, counted.macs) == (params, macs)
    graph = trace(model, X)
    computed = cost_model(graph)(kept_units(graph))
    assert (computed.params, computed.macs) == (params, macs)


def test_thop_also_counts_norms_and_leaves_nothing_behind() -> None:
    model = net().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    counted = measure(model, X)
    assert counted.thop_macs is not None
    assert counted.thop_macs > counted.macs
    assert set(model.state_dict()) == set(before)
    assert not model[0]._forward_hooks


def test_a_weight_that_is_used_twice_is_multiplied_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    graph = trace(Twice(), X)
    assert cost_model(graph)(kept_units(graph)).macs == 2 * 120 * 9


def test_a_counter_that_counts_otherwise_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, honest_macs = cost._thop, measure(net().eval(), X).macs

    def off(model: nn.Module, inputs: list[Tensor]) -> tuple[float, dict[str, float]]:
        total, layers = honest(model, inputs)
        return total, {name: 1.05 * ops for name, ops in layers.items()}

    monkeypatch.setattr(cost, "_thop", off)
    counted = measure(net().eval(), X)
    assert counted.thop_macs is None
    assert counted.macs == honest_macs


def test_layers_of_own_types_are_counted() -> None:
    class Standardised(nn.Conv2d):
        pass

    own, plain = nn.Sequential(Standardised(3, 8, 3)), nn.Sequential(nn.Conv2d(3, 8, 3))
    assert measure(own, X).macs == measure(plain, X).macs > 0
    assert measure(own, X).thop_macs is None


def test_another_package_of_the_counter_s_name_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "thop", ModuleType("thop"))
    assert measure(net().eval(), X).thop_macs is None
