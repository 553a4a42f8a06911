"""Times over two widths: exact where they were measured, bilinear elsewhere."""

import numpy as np
import pytest

from bench.layers.grid import Grid, rising, widths_to_try

GRID = Grid(into=(8, 16, 32), out=(8, 32), ms=((1.0, 2.0), (2.0, 3.0), (4.0, 9.0)))


def at(into: int, out: int) -> float:
    return float(GRID.at(np.array([into]), np.array([out]))[0])


def test_what_was_measured_comes_back() -> None:
    for row, into in enumerate(GRID.into):
        for column, out in enumerate(GRID.out):
            assert at(into, out) == GRID.ms[row][column]


def test_between_and_beyond_lines_go_on() -> None:
    assert at(12, 8) == pytest.approx(1.5)
    assert at(24, 20) == pytest.approx((2.0 + 3.0 + 4.0 + 9.0) / 4)
    assert at(16, 56) == pytest.approx(4.0)


def test_no_width_takes_nothing() -> None:
    assert at(1, 1) == 0.5


def test_one_width_is_the_same_everywhere() -> None:
    alone = Grid(into=(1,), out=(8, 16), ms=((1.0, 3.0),))
    assert alone.at(np.array([1, 7]), np.array([12, 12])).tolist() == [2.0, 2.0]


def test_widths_are_multiples_of_the_block_and_the_dense_one() -> None:
    assert widths_to_try(64, 8) == (8, 24, 48, 64)
    assert widths_to_try(3, 8) == (3,)
    assert widths_to_try(20, 8) == (8, 16, 20)
    assert widths_to_try(2048, 16)[-1] == 2048
    assert all(rising(widths_to_try(width, 8)) for width in range(1, 300))


@pytest.mark.parametrize("widths", [(0, 8), (8, 8), (16, 8), (-1,)])
def test_lists_that_do_not_rise(widths: tuple[int, ...]) -> None:
    assert not rising(widths)
