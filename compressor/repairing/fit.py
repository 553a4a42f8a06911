"""One layer: regularised least squares on rows, for what is left after norm, sum and ReLU.

With x what the layer reads, z the dense model's tail, p the present one and a the scale of the norm between,

    minimise  sum |f(z) - f(p + a (D x + c))|^2 + ridge |D|^2

over the change D of the weights and the constant c; f is the ReLU that follows, or nothing. Without f this is
least squares, solved once. With it, that solution is the start, and z is replaced in every further sweep by
what majorises the loss: where f cuts z off, a value that is cut off already may stay what it is,
z = min(p, 0). That costs at least as much as the loss does, and the same where both are above zero or below
it, so that the sweeps go downhill (majorisation; de Leeuw 1977). Whatever the sweeps do, the best weights met
are returned, the present ones included: the error never grows.

Gram matrices are the same in all sweeps, and factored once per ridge.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
from torch import Tensor

from compressor.base.errors import NotFiniteError
from compressor.repairing.gram import Gram, chunk_of
from compressor.repairing.watching import EVERYTHING, Bounds

STRENGTHS: Final = (1.0, 1e-1, 1e-2, 1e-3, 1e-5, 1e-7, 1e-9, 1e-11)
"""Ridges that are tried on held-out rows, relative to the mean diagonal of the Gram matrix."""

USUAL: Final = 1e-2
_BELOW: Final = tuple(ridge for ridge in STRENGTHS if ridge < USUAL)
_ABOVE: Final = tuple(ridge for ridge in reversed(STRENGTHS) if ridge > USUAL)

_DAMPING: Final = 0.1
"""A channel that the norm scales by less than this share of the median is not pushed as if it were larger."""

_CHOSEN_UP_TO: Final = 8192
"""Columns beyond which every ridge that is tried would take minutes, so that the usual one is taken."""

_EXACT: Final = 1e-12  # share of the dense tail's energy below which nothing is left to repair


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one part of the images.

    Attributes:
        x: what the layer reads, (groups, rows, columns).
        z: the dense model's tail, (rows, outputs).
        p: the present tail, (rows, outputs).
    """

    x: Tensor
    z: Tensor
    p: Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """Where the layer stands.

    Attributes:
        scale: of the norm between layer and tail, (outputs,); ones without.
        bounds: what the activation behind the tail lets through.
        constant: whether there is a bias or a norm that can take a constant.
    """

    scale: Tensor
    bounds: Bounds = EVERYTHING
    constant: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """A solution.

    Attributes:
        delta: to be added to the weights, (groups, columns, outputs per group), float64.
        shift: to be added to the layer's output, (outputs,), float64.
        before: squared error of the present weights, relative to the dense tail's energy.
        after: that with the change.
        ridge: its strength; 0 where nothing was left to do.
    """

    delta: Tensor
    shift: Tensor
    before: float
    after: float
    ridge: float


def fitted(blocks: Sequence[Block], place: Place, strength: float | None, sweeps: int) -> Change:
    """Return the change of one layer.

    Args:
        blocks: at least one, none without rows; every fifth is held out while the ridge is chosen.
        place: what follows the layer.
        strength: of the ridge; None chooses among `STRENGTHS`.
        sweeps: solutions at most.

    Raises:
        NotFiniteError: the rows hold NaN or infinity.
    """
    check_finite(blocks)
    energy = sum(float(block.z.double().square().sum()) for block in blocks)
    before = _error(blocks, place, *_nothing(blocks[0]))
    if before <= _EXACT * energy:
        share = before / energy if energy else 0.0
        return Change(*_nothing(blocks[0]), share, share, 0.0)
    problem, held = _Problem(blocks[0], place), blocks[::5]
    fit = [block for number, block in enumerate(blocks) if number % 5]
    problem.add(fit)
    ridge = strength or (_chosen(problem, held, sweeps) if fit else USUAL)
    problem.add(held)
    delta, shift, after = problem.solved(ridge, sweeps)
    scale = energy or before
    return Change(delta, shift, before / scale, after / scale, ridge)


def check_finite(blocks: Sequence[Block]) -> None:
    """Refuse rows that hold NaN or infinity.

    Raises:
        NotFiniteError: some do.
    """
    for name, of in (("input", "x"), ("target", "z"), ("output", "p")):
        if not all(bool(torch.isfinite(getattr(block, of)).all()) for block in blocks):
            raise NotFiniteError(
                f"the {name} of a layer is NaN or infinite on the calibration images",
                "check the weights with compress eval, and the images.",
            )


def _chosen(problem: "_Problem", held: Sequence[Block], sweeps: int) -> float:
    """Return the strength that does best on held-out blocks, downhill from the usual one."""
    if held[0].x.shape[2] > _CHOSEN_UP_TO:
        return USUAL

    @cache
    def error(ridge: float) -> float:
        return problem.solved(ridge, min(sweeps, 2), held)[2]

    best = USUAL
    for side in (_BELOW, _ABOVE):
        for ridge in side if best == USUAL else ():
            if error(ridge) >= error(best):
                break
            best = ridge
    return best


class _Problem:
    """The Gram matrix of some rows, and what is solved with it.

    Args:
        like: one of the blocks that will be added.
        place: what follows the layer.
    """

    def __init__(self, like: Block, place: Place) -> None:
        self._blocks: list[Block] = []
        self._place = place
        self._gram = Gram(like.x.mean(1), place.constant)
        self._push = _push(place)

    def add(self, blocks: Sequence[Block]) -> None:
        """Take more rows into account."""
        self._blocks += blocks
        self._gram.add([block.x for block in blocks])

    def solved(
        self, ridge: float, sweeps: int, held: Sequence[Block] | None = None
    ) -> tuple[Tensor, Tensor, float]:
        """Return the best change met by its squared error on ``held``, or on its own rows, and that error."""
        pull = self._factored(ridge)
        delta, shift = _nothing(self._blocks[0])
        best = (delta, shift, math.inf)
        for sweep in range(sweeps if self._place.bounds != EVERYTHING else 1):
            right, rest, error = self._residual(delta, shift, self._place.bounds if sweep else EVERYTHING)
            if held is None and error < best[2]:
                best = (delta, shift, error)
            step = self._gram.solve_(right.addcmul_(delta, pull[:, None, None], value=-1))
            delta = delta + step
            if self._place.constant:
                shift = shift + rest - (self._gram.mean[:, None] @ step).flatten()
        error = _error(held or self._blocks, self._place, delta, shift)
        return (delta, shift, error) if error < best[2] else best

    def _factored(self, ridge: float) -> Tensor:
        """Factor with a ridge and return it, (groups,): it grows where rounding asks for it."""
        pull = ridge * self._gram.level.clamp(min=torch.finfo(torch.float32).tiny)
        for _ in range(12):
            failed = self._gram.factor(pull)
            if not failed.any():
                return pull
            pull = torch.where(failed, 10 * pull, pull)
        raise NotFiniteError("a Gram matrix cannot be factored", "check the weights with compress eval.")

    def _residual(self, delta: Tensor, shift: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor, float]:
        """Return X^T R, (groups, columns, outputs per group), the mean of R, (outputs,), and the error."""
        right, total, rows, error = torch.zeros_like(delta), torch.zeros_like(shift), 0, 0.0
        for x, z, now in _moved(self._blocks, self._place, delta, shift):
            error += _lost(z, now, self._place.bounds)
            residual = (_majorised(z, now, bounds) - now).double() * self._push
            per_group = residual.view(len(residual), len(delta), -1).transpose(0, 1)
            right.baddbmm_(x.double().transpose(1, 2), per_group)
            total += residual.sum(0)
            rows += len(residual)
        if self._place.constant:
            right -= self._gram.mean[:, :, None] * total.view(len(delta), 1, -1)
        return right, total / rows, error


def _push(place: Place) -> Tensor:
    """Return what turns an error of the tail into one of the layer: 1 / scale, less where that is tiny."""
    floor = _DAMPING * place.scale.abs().median()
    return place.scale / (place.scale.square().maximum(floor.square())).clamp(min=1e-30)


def _moved(
    blocks: Sequence[Block], place: Place, delta: Tensor, shift: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield chunks of rows: what is read, the dense tail, and the tail with the change."""
    weights, constant, scale = delta.float(), shift.float(), place.scale.float()
    for block in blocks:
        rows = chunk_of(block.x)
        parts = (block.x.split(rows, dim=1), block.z.split(rows), block.p.split(rows))
        for x, z, p in zip(*parts, strict=True):
            change = torch.bmm(x, weights).transpose(0, 1).reshape(p.shape)
            yield x, z, p + scale * (change + constant)


def _lost(z: Tensor, now: Tensor, bounds: Bounds) -> float:
    return float((z.clamp(*bounds) - now.clamp(*bounds)).square().sum(dtype=torch.float64))


def _majorised(z: Tensor, now: Tensor, bounds: Bounds) -> Tensor:
    low, high = bounds
    target = torch.where(z <= low, now.clamp(max=low), z)
    return torch.where(z >= high, now.clamp(min=high), target)


def _error(blocks: Sequence[Block], place: Place, delta: Tensor, shift: Tensor) -> float:
    """Return the squared error of the tails after the activation, summed over rows and outputs."""
    return sum(_lost(z, now, place.bounds) for _, z, now in _moved(blocks, place, delta, shift))


def _nothing(block: Block) -> tuple[Tensor, Tensor]:
    groups, _, columns = block.x.shape
    outputs = block.z.shape[1]
    zeros = torch.zeros(groups, columns, outputs // groups, dtype=torch.float64)
    return zeros, torch.zeros(outputs, dtype=torch.float64)
