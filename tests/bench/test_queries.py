import math

import numpy as np
import pytest

from bench.queries import holds, most_late, needed


@pytest.mark.parametrize(
    ("share", "late", "queries"), [(0.99, 0, 459), (0.99, 1, 662), (0.9, 0, 44), (0.9, 1, 64)]
)
def test_the_numbers_are_those_of_mlperfs_load_generator(share: float, late: int, queries: int) -> None:
    assert needed(late, share=share) == queries
    assert holds(queries, late, share=share)
    assert not holds(queries - 1, late, share=share)


def test_without_late_queries_it_is_a_power() -> None:
    """0.99^n is the probability that n queries are all in time."""
    assert needed(0) == math.ceil(math.log(0.01) / math.log(0.99))


def test_most_late_is_the_last_number_that_holds() -> None:
    assert [most_late(queries) for queries in (100, 458, 459, 661, 662)] == [-1, -1, 0, 0, 1]


def test_a_rate_that_is_just_too_slow_is_let_through_once_in_a_hundred() -> None:
    late = np.random.default_rng(0).binomial(2000, 0.01, size=20_000)
    assert (late <= most_late(2000)).mean() == pytest.approx(0.006, abs=0.004)
