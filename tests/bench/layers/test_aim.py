"""What a user asks of a network's time."""

import pytest

from bench.layers.aim import Aim, Reached, Trial
from bench.statistics import Speedup
from compressor.base.errors import UsageError


@pytest.mark.parametrize(
    ("text", "share", "ms"),
    [("0.5", 0.5, None), ("25ms", None, 25.0), (" 1.5 ms ", None, 1.5), ("1", 1.0, None)],
)
def test_a_share_or_milliseconds(text: str, share: float | None, ms: float | None) -> None:
    aim = Aim.asked(text)
    assert (aim.share, aim.ms) == (share, ms)


@pytest.mark.parametrize(
    "text",
    ["", "half", "0", "1.01", "-0.5", "0ms", "-3ms", "nan", "1e999ms", "25s", "1e", "..", "\x1b[31m0.5"],
)
def test_what_is_no_latency_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Aim.asked(text)
    assert "\x1b" not in str(refused.value)


def test_a_table_of_another_place_needs_a_table() -> None:
    with pytest.raises(UsageError, match="--table FILE"):
        Aim(share=0.5, foreign_table=True)


def test_a_miss_counts_from_the_end_of_the_interval() -> None:
    trial = Trial(predicted=0.5, speedup=Speedup(value=1.8, low=1.6, high=1.9))
    assert trial.miss(0.55) == 0  # 1 / 1.9 = 0.526 .. 0.625
    assert trial.miss(0.5) == pytest.approx((1 / 1.9 - 0.5) / 0.5)
    assert trial.miss(0.7) == pytest.approx((0.7 - 1 / 1.6) / 0.7)


def test_what_was_reached_says_so() -> None:
    near = Trial(predicted=0.5, speedup=Speedup(value=2.0, low=1.95, high=2.05))
    far = Trial(predicted=0.5, speedup=Speedup(value=1.5, low=1.45, high=1.55))
    met = Reached(aim=Aim(share=0.5), share=0.5, trials=(far, near), kept=1)
    missed = Reached(aim=Aim(share=0.5), share=0.5, trials=(far,), kept=0)
    planned = Reached(aim=Aim(share=0.5), share=0.5, trials=(Trial(predicted=0.49),), kept=0)
    assert met.met
    assert "measured 0.500 (0.488..0.513), 2.00x" in met.describe()
    assert not missed.met
    assert missed.describe().endswith("; not met")
    noisy = Trial(predicted=0.5, speedup=Speedup(value=2.0, low=1.6, high=2.4))
    unsure = Reached(aim=Aim(share=0.5), share=0.5, trials=(noisy,), kept=0)
    assert unsure.met
    assert unsure.describe().endswith("; too noisy to be sure")
    assert not planned.measured
    assert "not measured" in planned.describe()
