"""Arguments by name, given or by default, and the shadow of what carries no channels."""

import pytest
import torch
from torch import Tensor, nn

from compressor.channels import trace
from compressor.channels.call import Call
from compressor.channels.shadow import PLAIN
from compressor.channels.tracer import Tracer

aten = torch.ops.aten
X = torch.randn(2, 6)


def test_arguments_are_found_wherever_the_caller_put_them() -> None:
    call = Call(aten.slice.Tensor, (X, 1), {"end": 4}, X[:, :4])
    assert call.name == "aten.slice"
    assert call["self"] is call.subject is X
    assert (call["dim"], call["start"], call["end"], call["step"]) == (1, None, 4, 1)


def test_what_only_some_overloads_have_can_be_asked_for() -> None:
    whole, along = (
        Call(aten.sum.default, (X,), {}, X.sum()),
        Call(aten.sum.dim_IntList, (X, [1]), {}, X.sum(1)),
    )
    assert ("dim" in whole, "dim" in along) == (False, True)
    assert (whole.get("dim"), along.get("dim")) == (None, [1])
    with pytest.raises(KeyError, match="dim"):
        whole["dim"]


def test_tensors_and_results_are_found_in_lists() -> None:
    call = Call(aten.cat.default, ([X, X + 1],), {}, torch.cat([X, X + 1]))
    assert len(call.tensors) == 2
    pieces = X.split(3, 1)
    call = Call(aten.split.Tensor, (X, 3, 1), {}, pieces)
    assert call.first_output is pieces[0]
    assert [part.shape for part in call.on(torch.arange(12).reshape(2, 6))] == [(2, 3), (2, 3)]


def test_every_tensor_has_a_shadow() -> None:
    module = nn.Linear(6, 4)
    tracer = Tracer(module)
    assert tracer.shadow(X) is PLAIN
    assert PLAIN.along(1) == PLAIN.across(1) == []
    assert not PLAIN.from_weights
    assert len(tracer.shadow(module.weight).factors) == 2


def test_rolling_without_axes_keeps_everything_whole() -> None:
    class Rolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x).roll(2))

    graph = trace(Rolled(), [torch.randn(1, 3, 4, 4)])
    assert graph.free == ()
    assert any("moved by aten.roll" in (group.frozen or "") for group in graph.groups)
