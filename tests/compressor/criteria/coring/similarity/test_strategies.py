"""The greedy elimination where it takes several rounds, and where numbers are extreme."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compressor.criteria.coring.similarity import saliency

Floats = NDArray[np.float64]


def literally(distances: Floats, far: Callable[[Floats], float]) -> Floats:
    """The published elimination: the whole matrix is searched at every step."""
    size = len(distances)
    scores = np.full(size, size - 1.0)
    left = list(range(size))
    for step in range(size - 1):
        i, j = min(((a, b) for a in left for b in left if a != b), key=lambda pair: (distances[pair], pair))
        others = [k for k in left if k not in (i, j)]
        loser = j if far(distances[i, others]) > far(distances[others, j]) else i
        left.remove(loser)
        scores[loser] = step
    return scores


def nested_hubs(size: int) -> Floats:
    """Unit 0 is the nearest of all; when it is gone, unit 1 is, and so on: the most rounds possible."""
    return np.minimum.outer(np.arange(size), np.arange(size)) / 8.0


@pytest.mark.parametrize("strategy", ["min_sum", "min_min"])
@pytest.mark.parametrize("size", [34, 70])
def test_many_rounds_give_what_one_search_per_step_gives(strategy: str, size: int) -> None:
    rng = np.random.default_rng(size)
    blocks = np.kron(rng.integers(1, 4, (size // 2, size // 2)) / 4, np.ones((2, 2)))
    far = (lambda row: float(row.sum())) if strategy == "min_sum" else (lambda row: row.min(initial=np.inf))
    for distances in (nested_hubs(size), rng.random((size, size)), blocks, blocks + nested_hubs(size)):
        scores = saliency(torch.from_numpy(distances), strategy=strategy)
        np.testing.assert_array_equal(scores, literally(distances, far))


@pytest.mark.parametrize("strategy", ["min_sum", "min_min"])
@pytest.mark.parametrize("exponent", [-900, -300, 300, 1000])
def test_the_scale_of_distances_does_not_matter(strategy: str, exponent: int) -> None:
    distances = np.random.default_rng(0).integers(1, 1000, (20, 20)) / 1.0
    scaled = np.ldexp(distances, exponent)
    scores = [saliency(torch.from_numpy(m), strategy=strategy) for m in (distances, scaled)]
    assert torch.equal(*scores)


def test_what_went_leaves_no_rounding_behind() -> None:
    """Two units are a million times as far from everything; sums over the rest decide between equals."""
    rng = np.random.default_rng(1)
    distances = rng.integers(0, 2**20, (24, 24)) / 2**20
    distances += distances.T
    distances[20:] += 1e6
    distances[:, 20:] += 1e6
    np.testing.assert_array_equal(
        saliency(torch.from_numpy(distances)), literally(distances, lambda row: float(row.sum()))
    )
