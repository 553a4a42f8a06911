"""One layer's least squares against a plain solver, and what it promises."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import NotFiniteError, UsageError
from compressor.repairing import fit
from compressor.repairing.fit import USUAL, Block, Place, fitted
from compressor.repairing.rows import inputs_at, outputs_at
from compressor.repairing.settings import RepairSettings

RELU = (0.0, math.inf)


def block(rows: int, columns: int, outputs: int, seed: int = 0, groups: int = 1) -> Block:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(groups, rows, columns, generator=generator) + 0.5
    return Block(
        x,
        torch.randn(rows, outputs, generator=generator),
        torch.randn(rows, outputs, generator=generator),
    )


def plain(blocks: list[Block], scale: Tensor, ridge: float) -> np.ndarray:
    """Solve the ridge problem of one group by numpy.linalg.lstsq, the constant not penalised."""
    x = np.concatenate([b.x[0].double().numpy() for b in blocks])
    wanted = np.concatenate([((b.z - b.p) / scale).double().numpy() for b in blocks])
    centred = x - x.mean(0)
    level = ridge * (centred**2).sum(0).mean()
    columns = x.shape[1]
    left = np.block([[x, np.ones((len(x), 1))], [math.sqrt(level) * np.eye(columns), np.zeros((columns, 1))]])
    right = np.concatenate([wanted, np.zeros((columns, wanted.shape[1]))])
    return np.linalg.lstsq(left, right, rcond=None)[0]


@pytest.mark.parametrize("ridge", [1.0, 1e-2, 1e-6])
def test_it_solves_what_a_plain_solver_solves(ridge: float) -> None:
    blocks = [block(50, 7, 3, seed) for seed in range(3)]
    scale = torch.tensor([1.0, -0.5, 2.0])
    change = fitted(blocks, Place(scale.double()), ridge, sweeps=4)
    expected = plain(blocks, scale, ridge)
    np.testing.assert_allclose(change.delta[0], expected[:-1], atol=1e-6)
    np.testing.assert_allclose(change.shift, expected[-1], atol=1e-6)


def test_groups_are_problems_of_their_own() -> None:
    both = block(60, 4, 6, groups=2)
    change = fitted([both], Place(torch.ones(6).double()), 1e-3, sweeps=1)
    for group in range(2):
        outputs = slice(3 * group, 3 * group + 3)
        one = Block(both.x[group : group + 1], both.z[:, outputs], both.p[:, outputs])
        np.testing.assert_allclose(change.delta[group], plain([one], torch.ones(3), 1e-3)[:-1], atol=1e-6)


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), RELU, (0.0, 6.0)])
@pytest.mark.parametrize("strength", [None, 1e-3])
def test_the_error_never_grows(bounds: tuple[float, float], strength: float | None) -> None:
    for seed in range(5):
        blocks = [block(30, 20, 4, 10 * seed + n) for n in range(5)]
        change = fitted(blocks, Place(torch.ones(4).double(), bounds), strength, sweeps=4)
        assert change.after <= change.before


def test_a_ridge_is_chosen_unless_there_are_too_many_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(5, 1, 40, 12, generator=torch.Generator().manual_seed(0))
    linear = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    blocks = [Block(part, part[0] @ linear, torch.zeros(40, 3)) for part in x]
    place = Place(torch.ones(3).double())
    assert fitted(blocks, place, None, sweeps=1).ridge < USUAL  # without noise the least is best
    monkeypatch.setattr(fit, "_CHOSEN_UP_TO", 11)
    assert fitted(blocks, place, None, sweeps=1).ridge == USUAL


def test_sweeps_gain_where_relu_cuts_off() -> None:
    x = torch.randn(1, 400, 5, generator=torch.Generator().manual_seed(0))
    linear = x[0] @ torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    z = torch.where(linear > 0, linear, 10 * linear)  # the same to what reads it
    one, several = (
        fitted([Block(x, z, torch.zeros(400, 2))], Place(torch.ones(2).double(), RELU), 1e-6, sweeps)
        for sweeps in (1, 20)
    )
    assert several.after < 0.1 * one.after


def test_nothing_is_solved_where_nothing_is_wrong() -> None:
    same = block(20, 3, 2)
    change = fitted([Block(same.x, same.z, same.z)], Place(torch.ones(2).double()), None, sweeps=4)
    assert change.ridge == 0.0
    assert not change.delta.any()


@pytest.mark.parametrize("place", ["x", "z", "p"])
def test_nan_is_refused(place: str) -> None:
    bad = block(20, 3, 2)
    getattr(bad, place).view(-1)[3] = math.nan
    with pytest.raises(NotFiniteError, match="NaN"):
        fitted([bad], Place(torch.ones(2).double()), None, sweeps=1)


def test_more_weights_than_rows_and_dead_inputs_are_no_failure() -> None:
    few = block(4, 30, 2)
    few.x[:, :, :10] = 0
    change = fitted([few], Place(torch.ones(2).double()), 1e-3, sweeps=1)
    assert torch.isfinite(change.delta).all()
    assert not change.delta[:, :10].any()
    dead = Block(torch.zeros_like(few.x), few.z, few.p)
    assert not fitted([dead], Place(torch.ones(2).double()), 1e-3, sweeps=1).delta.any()


def test_an_input_may_be_silent_in_all_images_but_the_first() -> None:
    """What is left when its mean is taken out of the sums is all rounding."""
    blocks = [block(300, 9, 2, n, groups=2) for n in range(5)]
    for other in blocks[1:]:
        other.x[0] = 0
    change = fitted(blocks, Place(torch.ones(2).double()), None, sweeps=1)
    assert torch.isfinite(change.delta).all()
    assert change.after <= change.before


LAYERS = [
    nn.Conv2d(4, 6, 3, padding=1),
    nn.Conv2d(4, 6, 1),
    nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2)),
    nn.Conv2d(4, 6, 3, groups=2, padding="same"),
    nn.Conv2d(4, 8, 3, groups=4, padding=1, padding_mode="reflect"),
    nn.Conv1d(4, 6, 3, stride=2, padding=1),
    nn.Linear(4, 6),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_rows_are_what_the_layer_multiplies(layer: nn.Conv1d | nn.Conv2d | nn.Linear) -> None:
    shape = {nn.Conv2d: (3, 4, 9, 8), nn.Conv1d: (3, 4, 9), nn.Linear: (3, 5, 4)}[type(layer)]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = layer(x)
        positions = torch.tensor([4, 0, 3])
        rows = inputs_at(layer, x, positions)
        weight = layer.weight.reshape(len(rows), -1, rows.shape[2]).transpose(1, 2)
        made = torch.bmm(rows, weight).transpose(0, 1).reshape(rows.shape[1], -1) + layer.bias
    torch.testing.assert_close(made, outputs_at(layer, y, positions))


@pytest.mark.parametrize(
    "wrong", [{"images": 0}, {"sweeps": 0}, {"strength": 0.0}, {"strength": math.nan}, {"norms": "none"}]
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="repair: "):
        RepairSettings(**wrong)  # type: ignore[arg-type]
