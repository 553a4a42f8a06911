"""Gram matrices of many columns: summed and factored in blocks, both in one square of memory.

A Gram matrix is symmetric: the blocks below its diagonal are all of it, and those above are free for what it
is factored into. With A = L L^T and U = L^T the factor is made from the top, block row by block row,

    U_kk^T U_kk = A_kk        U_kj = U_kk^-T A_kj        A_ij -= U_ki^T U_kj    for k < i <= j

(Golub and Van Loan, Matrix Computations, section 4.2: outer products, blocked). That is half of the sums and
a third of the memory of the plain way: 12,544 columns take 1.3 GB. Everything is float64.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_SIDE = 256  # columns of a block
_CHUNK = 4096  # rows that are float64 at a time
_CHUNK_BYTES = 2**26  # of these

_ROUNDED = torch.finfo(torch.float32).eps ** 2  # share of a square that is rounding


class Gram:
    """X^T X of centred rows, (groups, columns, columns), to which more rows can be added.

    Args:
        origin: what is subtracted of rows while they are summed, (groups, columns); near their mean, so
            that little is lost where the mean is taken out.
        centred: whether rows are taken from their mean; from zero otherwise.
    """

    def __init__(self, origin: Tensor, centred: bool) -> None:
        groups, columns = origin.shape
        self._origin = origin.double() if centred else torch.zeros_like(origin, dtype=torch.float64)
        self._centred = centred
        self._square = torch.zeros(groups, columns, columns, dtype=torch.float64)
        self._sum = torch.zeros(groups, columns, dtype=torch.float64)
        self._rows = 0
        self._spans = tuple((start, min(start + _SIDE, columns)) for start in range(0, columns, _SIDE))
        self._diagonal: list[Tensor] = []  # U_kk^T of the last factor

    @property
    def mean(self) -> Tensor:
        """What is subtracted of the rows, (groups, columns)."""
        return self._origin + self._offset()

    @property
    def level(self) -> Tensor:
        """Mean of the diagonal, (groups,); no less than what rounded inputs say nothing about."""
        summed = self._square.diagonal(dim1=1, dim2=2)
        rounded = _ROUNDED * (summed + self._rows * self.mean.square())
        return (summed - self._rows * self._offset().square()).mean(1).maximum(rounded.mean(1))

    def add(self, parts: Sequence[Tensor]) -> None:
        """Add rows, (groups, rows, columns) each."""
        for part in parts:
            for rows in part.split(chunk_of(part), dim=1):
                x = rows.double().sub_(self._origin[:, None])
                self._sum += x.sum(1)
                self._rows += x.shape[1]
                for start, end in self._spans:
                    _add(self._square[:, start:end, :end], x[..., start:end], x[..., :end])

    def factor(self, pull: Tensor) -> Tensor:
        """Factor the matrix with ``pull`` on its diagonal and return where that failed, both (groups,)."""
        self._diagonal = list(self._upper(pull))
        failed = torch.zeros(len(pull), dtype=torch.bool)
        for k, (start, end) in enumerate(self._spans):
            lower, info = torch.linalg.cholesky_ex(self._diagonal[k])
            failed |= info > 0
            if failed.any():
                break
            self._diagonal[k] = lower
            right = self._square[:, start:end, end:]
            right.copy_(torch.linalg.solve_triangular(lower, right, upper=False))
            self._subtract(k)
        return failed

    def solve_(self, found: Tensor) -> Tensor:
        """Multiply ``found``, (groups, columns, n), by A^-1 of the last factor, in place, and return it."""
        for k, (start, end) in enumerate(self._spans):
            here = found[:, start:end]
            if start:
                here -= self._square[:, :start, start:end].transpose(1, 2) @ found[:, :start]
            here.copy_(torch.linalg.solve_triangular(self._diagonal[k], here, upper=False))
        for k, (start, end) in reversed(list(enumerate(self._spans))):
            here = found[:, start:end]
            if end < found.shape[1]:
                here -= self._square[:, start:end, end:] @ found[:, end:]
            here.copy_(torch.linalg.solve_triangular(self._diagonal[k].transpose(1, 2), here, upper=True))
        return found

    def _offset(self) -> Tensor:
        """Return the mean as the origin sees it, (groups, columns)."""
        return self._sum / max(1, self._rows) if self._centred else torch.zeros_like(self._sum)

    def _upper(self, pull: Tensor) -> Iterator[Tensor]:
        """Write A above the diagonal blocks, and yield these with ``pull``."""
        offset = self._offset()
        for start, end in self._spans:
            outer = self._rows * offset[:, start:end, None] * offset[:, None]
            block = self._square[:, start:end, start:end] - outer[..., start:end]
            block.diagonal(dim1=1, dim2=2).add_(pull[:, None])
            right = self._square[:, start:end, end:]
            right.copy_(self._square[:, end:, start:end].transpose(1, 2)).sub_(outer[..., end:])
            yield block

    def _subtract(self, k: int) -> None:
        """Take what block row ``k`` explains from those below it."""
        row = self._square[:, slice(*self._spans[k])]
        for i, (start, end) in enumerate(self._spans[k + 1 :], start=k + 1):
            left = row[..., start:end].transpose(1, 2)
            self._diagonal[i] -= left @ row[..., start:end]
            if end < row.shape[2]:
                self._square[:, start:end, end:] -= left @ row[..., end:]


def chunk_of(part: Tensor) -> int:
    """Return how many rows, of (groups, rows, columns), are float64 at a time."""
    groups, _, columns = part.shape
    return max(1, min(_CHUNK, _CHUNK_BYTES // (8 * groups * columns)))


def _add(square: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left^T right, group by group where groups are few, since batches of views would be copied."""
    if len(square) > 1:
        square.baddbmm_(left.transpose(1, 2), right)
    else:
        square[0].addmm_(left[0].T, right[0])
