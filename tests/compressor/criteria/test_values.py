"""One value per criterion, derived by hand from its formula."""

import math

import pytest
import torch

from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Member

WEIGHT = torch.tensor([[3.0, -4.0], [0.0, 1.0], [3.0, 0.0]])


def view(*members: Member) -> GroupView:
    return GroupView(name="g", size=3, members=members)


def filters(rows: torch.Tensor = WEIGHT, gradient: torch.Tensor | None = None) -> Member:
    return Member(tensor="w", role="producer", values=rows, gradients=gradient)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l1", [7, 1, 3]),
        ("l2", [5, 1, 3]),
        ("fpgm", [math.sqrt(34) + 4, math.sqrt(34) + math.sqrt(10), math.sqrt(10) + 4]),
    ],
)
def test_norms_and_distances(name: str, expected: list[float]) -> None:
    assert CRITERIA.get(name)()(view(filters())).tolist() == pytest.approx(expected)


def test_layers_that_share_units_are_averaged() -> None:
    scores = CRITERIA.get("l1")()(view(filters(), filters(torch.ones(3, 5))))
    assert scores.tolist() == [6, 3, 4]


def test_bn_scale_is_the_absolute_weight_of_the_norm() -> None:
    norm = Member(tensor="bn", role="norm", values=torch.tensor([[-2.0], [0.5], [1.0]]))
    assert CRITERIA.get("bn_scale")()(view(filters(), norm)).tolist() == [2, 0.5, 1]


def test_taylor_is_the_squared_first_order_change() -> None:
    gradient = torch.tensor([[1.0, 0.5], [2.0, -3.0], [0.0, 9.0]])
    assert CRITERIA.get("taylor")()(view(filters(gradient=gradient))).tolist() == [1, 9, 0]


def test_taylor_without_gradients_says_what_to_give() -> None:
    with pytest.raises(UsageError, match="--data"):
        CRITERIA.get("taylor")()(view(filters()))


def test_random_differs_by_seed_and_group() -> None:
    one = CRITERIA.get("random")
    assert one(seed=0)(view()).tolist() != one(seed=1)(view()).tolist()
    assert one()(view()).tolist() != one()(GroupView(name="h", size=3, members=())).tolist()
