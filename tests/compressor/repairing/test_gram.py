"""Gram matrices in blocks against the plain way."""

import pytest
import torch
from torch import Tensor

from compressor.repairing import gram
from compressor.repairing.gram import Gram


def rows(groups: int, columns: int) -> Tensor:
    return torch.randn(groups, 2 * columns, columns, generator=torch.Generator().manual_seed(0)) + 3


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("groups", "columns"), [(1, 5), (1, 37), (3, 24), (2, 8)])
def test_it_is_the_sum_and_solves_as_the_plain_one(
    groups: int, columns: int, centred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gram, "_SIDE", 8)
    x = rows(groups, columns)
    found = Gram(x[:, :3].mean(1), centred)
    found.add([x[:, :10]])
    assert not found.factor(torch.ones(groups, dtype=torch.float64)).any()  # what is added later still counts
    found.add([x[:, 10:20], x[:, 20:]])
    pull = torch.rand(groups, dtype=torch.float64) + 0.1
    assert not found.factor(pull).any()
    plain = x.double() - (x.double().mean(1, keepdim=True) if centred else 0)
    square = plain.transpose(1, 2) @ plain
    torch.testing.assert_close(found.level, square.diagonal(dim1=1, dim2=2).mean(1))
    if centred:
        torch.testing.assert_close(found.mean, x.double().mean(1))
    right = torch.randn(groups, columns, 4, dtype=torch.float64)
    expected = torch.linalg.solve(square + pull[:, None, None] * torch.eye(columns), right)
    torch.testing.assert_close(found.solve_(right.clone()), expected, atol=1e-9, rtol=1e-9)


def test_groups_that_cannot_be_factored_are_named_and_the_sum_survives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gram, "_SIDE", 8)
    x = rows(2, 20)
    x[1] = 0
    found = Gram(torch.zeros(2, 20), centred=False)
    found.add([x])
    assert found.factor(torch.tensor([0.0, -1.0], dtype=torch.float64)).tolist() == [False, True]
    assert not found.factor(torch.ones(2, dtype=torch.float64)).any()
    right = torch.ones(2, 20, 1, dtype=torch.float64)
    torch.testing.assert_close(found.solve_(right.clone())[1], right[1])


def test_wide_rows_are_float64_a_few_at_a_time() -> None:
    assert gram.chunk_of(torch.empty(1, 5000, 10)) == 4096
    assert gram.chunk_of(torch.empty(1, 5000, 12544)) * 12544 * 8 <= 2**26
