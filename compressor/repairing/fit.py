"""One layer: regularised least squares on rows, for what is left after norm, sum and ReLU.

With x what the layer reads, z the dense model's tail, p the present one and a the scale of the norm between,

    minimise  sum |f(z) - f(p + a (D x + c))|^2 + ridge |D|^2

over the change D of the weights and the constant c; f is the ReLU that follows, or nothing. Without f this is
least squares, solved once. With it, that solution is the start, and z is replaced in every further sweep by
what majorises the loss: where f cuts z off, a value that is cut off already may stay what it is,
z = min(p, 0). That costs at least as much as the loss does, and the same where both are above zero or below
it, so that the sweeps go downhill (majorisation; de Leeuw 1977). Whatever the sweeps do, the best weights met
are returned, the present ones included: the error never grows.

Gram matrices are float64 and summed block by block. They are the same in all sweeps, and factored once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
from torch import Tensor

from compressor.base.errors import NotFiniteError
from compressor.repairing.watching import EVERYTHING, Bounds

STRENGTHS: Final = (1.0, 1e-1, 1e-2, 1e-3, 1e-5, 1e-7, 1e-9, 1e-11)
"""Ridges that are tried on held-out rows, relative to the mean diagonal of the Gram matrix."""

USUAL: Final = 1e-2
_BELOW: Final = tuple(ridge for ridge in STRENGTHS if ridge < USUAL)
_ABOVE: Final = tuple(ridge for ridge in reversed(STRENGTHS) if ridge > USUAL)

_DAMPING: Final = 0.1
"""A channel that the norm scales by less than this share of the median is not pushed as if it were larger."""

_CHUNK: Final = 4096  # rows that are float64 at a time
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
    nothing = _nothing(blocks[0])
    energy = sum(float(block.z.double().square().sum()) for block in blocks)
    before = _error(blocks, place, *nothing)
    if before <= _EXACT * energy:
        share = before / energy if energy else 0.0
        return Change(*nothing, share, share, 0.0)
    ridge = strength or _chosen(blocks, place, sweeps)
    problem = _Problem(blocks, place)
    delta, shift, after = problem.solved(ridge, sweeps, blocks)
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


def _chosen(blocks: Sequence[Block], place: Place, sweeps: int) -> float:
    """Return the strength that does best on held-out blocks, downhill from the usual one.

    Where there is but one block, nothing can be held out, and it is the usual one.
    """
    held = blocks[::5]
    fit = [block for number, block in enumerate(blocks) if number % 5]
    if not fit:
        return USUAL
    problem = _Problem(fit, place)

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
    """The Gram matrix of some rows, and what is solved with it."""

    def __init__(self, blocks: Sequence[Block], place: Place) -> None:
        self._blocks, self._place = blocks, place
        rows = sum(block.x.shape[1] for block in blocks)
        mean = sum(block.x.sum(1, dtype=torch.float64) for block in blocks) / rows
        assert isinstance(mean, Tensor)
        self._mean = mean[:, None] if place.constant else torch.zeros_like(mean)[:, None]
        self._gram = self._summed()
        self._level = self._gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=torch.finfo(torch.float32).tiny)
        self._push = _push(place)

    def solved(self, ridge: float, sweeps: int, judged: Sequence[Block]) -> tuple[Tensor, Tensor, float]:
        """Return the best change met by its squared error on ``judged``, and that error."""
        factor, pull = self._factored(ridge)
        delta, shift = _nothing(self._blocks[0])
        best = (delta, shift, math.inf)
        for sweep in range(sweeps if self._place.bounds != EVERYTHING else 1):
            right, rest, error = self._residual(delta, shift, self._place.bounds if sweep else EVERYTHING)
            if judged is self._blocks and error < best[2]:
                best = (delta, shift, error)
            step = torch.cholesky_solve(right - pull[:, None, None] * delta, factor)
            delta = delta + step
            if self._place.constant:
                shift = shift + rest - (self._mean @ step).flatten()
        error = _error(judged, self._place, delta, shift)
        return (delta, shift, error) if error < best[2] else best

    def _summed(self) -> Tensor:
        gram = self._mean.new_zeros(len(self._mean), self._mean.shape[2], self._mean.shape[2])
        for block in self._blocks:
            for rows in block.x.split(_CHUNK, dim=1):
                x = rows.double() - self._mean
                gram.baddbmm_(x.transpose(1, 2), x)
        return gram

    def _factored(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Return the Cholesky factor, and the ridge that it took: it grows where rounding asks for it."""
        pull = ridge * self._level
        for _ in range(12):
            matrix = self._gram.clone()
            matrix.diagonal(dim1=1, dim2=2).add_(pull[:, None])
            factor, info = torch.linalg.cholesky_ex(matrix)
            if not info.any():
                return factor, pull
            pull = torch.where(info > 0, 10 * pull, pull)
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
        right -= self._mean.transpose(1, 2) * total.view(len(delta), 1, -1)
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
        parts = (block.x.split(_CHUNK, dim=1), block.z.split(_CHUNK), block.p.split(_CHUNK))
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
