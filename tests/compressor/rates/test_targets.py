"""What is asked, as values: what is refused, and how it is said."""

import pytest

from compressor.base.errors import UsageError
from compressor.rates import Budget, PruneRequest, Published, Share, Target, budget_of


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 1.5, float("nan")])
def test_a_budget_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match=rf"--params {fraction} is not in \(0, 1\]"):
        Budget("params", fraction=fraction)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match=r"is not in \[0, 1\)"):
        Share(rate)


@pytest.mark.parametrize("amount", [-5.0, 0.0, float("inf"), float("nan")])
def test_an_amount_is_finite_and_above_nothing(amount: float) -> None:
    with pytest.raises(UsageError, match="is no amount"):
        Budget("macs", absolute=amount)


def test_a_budget_is_a_share_or_an_amount() -> None:
    with pytest.raises(UsageError, match="both are given"):
        Budget("macs", fraction=0.5, absolute=1e9)
    with pytest.raises(UsageError, match="neither is given"):
        Budget("macs")


def test_a_number_above_one_is_an_amount() -> None:
    assert budget_of("macs", 1.0) == Budget("macs", fraction=1.0)
    assert budget_of("macs", 2.05e9) == Budget("macs", absolute=2.05e9)
    for number in (0.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=f"--macs {number}"):
            budget_of("macs", number)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Published("[0.]+[0.18]*29", "coring"), "[0.]+[0.18]*29"),
        (Share(0.25), "rate 0.25 global"),
        (Budget("macs", fraction=0.5), "macs 0.5 global"),
        (Budget("params", absolute=1.2e7), "params 12000000 global"),
    ],
)
def test_a_request_says_itself_in_words(target: Target, words: str) -> None:
    assert PruneRequest(target=target, scope="global").describe() == words
    rounded = PruneRequest(target=target, scope="global", round_to=8)
    assert rounded.describe() == f"{words}, widths in multiples of 8"
