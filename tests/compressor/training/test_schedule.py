import math

import pytest

from compressor.tasks.recipe import Recipe
from compressor.training import lr_at


def rates(recipe, steps_per_epoch):
    return [lr_at(recipe, step, steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)]


def test_cosine_by_hand():
    # 8 steps: cos(pi k / 8) for k = 0, 2, 4, 6 is 1, sqrt(1/2), 0, -sqrt(1/2)
    values = rates(Recipe(epochs=4, lr=2.0), 2)
    half = math.sqrt(0.5)
    assert values[::2] == pytest.approx([2, 1 + half, 1, 1 - half])


def test_cosine_falls_all_the_way_and_would_end_at_zero():
    values = rates(Recipe(epochs=3, lr=1.0), 5)
    assert values == sorted(values, reverse=True)
    assert lr_at(Recipe(epochs=3, lr=1.0), 15, 5) == pytest.approx(0)


def test_warm_up_is_linear_and_reaches_the_peak():
    values = rates(Recipe(epochs=4, lr=0.8, warmup_epochs=1), 4)
    assert values[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert values[10] == pytest.approx(0.4)  # halfway through the remaining twelve steps


def test_fractional_warm_up():
    # 2.5 steps: 1/2.5, 2/2.5, then the peak
    assert rates(Recipe(epochs=2, lr=1.0, warmup_epochs=0.5), 5)[:3] == pytest.approx(
        [0.4, 0.8, 1.0], abs=0.02
    )


def test_steps_by_hand():
    recipe = Recipe(epochs=5, lr=1.0, schedule="step", milestones=(2, 4), gamma=0.1)
    assert rates(recipe, 2) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_steps_without_milestones_are_constant():
    assert set(rates(Recipe(epochs=3, lr=0.3, schedule="step"), 4)) == {0.3}


@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.3, 1.0, 2.99, 3.0, 10.0])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_never_above_the_peak_nor_negative(warmup, steps):
    assert all(0 <= lr <= 0.5 for lr in rates(Recipe(epochs=3, lr=0.5, warmup_epochs=warmup), steps))
