"""Metrics between the factors of filters, for all pairs at once.

With v_i the variance of factor i, c_ij the covariance and g_ij the inner product (float64):

    vbd        var(a - b) / (var(a) + var(b))  =  (v_i + v_j - 2 c_ij) / (v_i + v_j)
    snr        var(a - b) / var(a)             =  (v_i + v_j - 2 c_ij) / v_i        (not symmetric)
    pearson    c_ij / sqrt(v_i v_j)
    cosine     |g_ij| / (|a| |b|)
    euclidean  |a - b|_2, manhattan |a - b|_1

Variances are unbiased, over all elements of a factor, so that a factor of one element gives NaN, as in the
authors' program. Equal pairs of constant factors are at distance 0, not NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from compressor.base.errors import UsageError
from compressor.base.modes import single_threaded
from compressor.criteria.coring.similarity.lookup import known

_QUANTUM: Final = 2.0**-30
"""Matrix entries are rounded to multiples of this (1e-9, below float32's resolution of the inputs), so that
equal pairs tie exactly whatever order a matrix product was summed in."""

_TINY: Final = 1e-12
_COSINE_EPS: Final = 1e-8


def vbd(x: Tensor) -> Tensor:
    """Return the variance-based distance of all rows, (n, n)."""
    own, difference = _variances(x)
    return difference.div_((own[:, None] + own).clamp_min_(_TINY))


def snr(x: Tensor) -> Tensor:
    """Return the noise-to-signal ratio of column filters as seen from row filters, (n, n)."""
    own, difference = _variances(x)
    return difference.div_(own[:, None].clamp_min(_TINY))


def pearson(x: Tensor) -> Tensor:
    """Return Pearson's correlation of all rows, signed, (n, n)."""
    covariance = _covariance(x)
    deviation = covariance.diagonal().sqrt()
    return covariance / (deviation[:, None] * deviation).clamp_min(_TINY)


def cosine(x: Tensor) -> Tensor:
    """Return the absolute cosine of the angle between all rows, (n, n)."""
    unit: Tensor = x / x.norm(dim=1, keepdim=True).clamp_min(_COSINE_EPS)
    return (unit @ unit.T).abs()


def euclidean(x: Tensor) -> Tensor:
    """Return the Euclidean distance of all rows, (n, n)."""
    # The matrix-product form of cdist loses half of the digits between near-equal rows.
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


def manhattan(x: Tensor) -> Tensor:
    """Return the sum of absolute differences of all rows, (n, n)."""
    return torch.cdist(x, x, p=1.0)


def _variances(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance of each row, (n,), and of the difference of every two rows, (n, n)."""
    covariance = _covariance(x)
    own = covariance.diagonal()
    return own, (own[:, None] + own).sub_(covariance, alpha=2).clamp_min_(0)


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=1, keepdim=True)
    return (centred @ centred.T).div_(x.new_tensor(x.shape[1] - 1))


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to compare filters.

    Attributes:
        compare: (n, elements) -> (n, n).
        sign: 1 for a distance, -1 for a similarity.
    """

    compare: Callable[[Tensor], Tensor]
    sign: int


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "vbd": Metric(vbd, 1),
        "euclidean": Metric(euclidean, 1),
        "cosine": Metric(cosine, -1),
        "manhattan": Metric(manhattan, 1),
        "snr": Metric(snr, 1),
        "pearson": Metric(pearson, -1),
    }
)


def pairwise(factors: Sequence[Tensor], metric: str = "vbd") -> Tensor:
    """Compare every two filters, averaged over their factors.

    Args:
        factors: each (filters, dim, columns), from :func:`compressor.criteria.coring.similarity.factors`.
        metric: ``vbd``, ``euclidean``, ``manhattan``, ``snr`` (distances), ``cosine`` or ``pearson``
            (similarities).

    Returns:
        (filters, filters), float64, multiples of 2^-30. Entry (i, j) compares filter i with filter j.

    Raises:
        UsageError: the metric does not exist, or there is no factor.
    """
    compare = known("metric", METRICS, metric).compare
    if not factors:
        raise UsageError(
            "there are no factors to compare: every axis of the filters has length 1",
            "choose another criterion for this layer, for instance l2.",
        )
    with single_threaded():
        rows = [factor.flatten(1).cpu().double() for factor in factors]
        total = compare(rows[0])
        for other in rows[1:]:
            total += compare(other)
        return total.div_(len(factors) * _QUANTUM).round_().mul_(_QUANTUM)
