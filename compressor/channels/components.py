"""Connected components of an undirected graph, vectorised.

Labels fall towards the smallest id of each component: every round hooks the larger of two joined labels
under the smaller and then halves all paths (Shiloach and Vishkin, 1982). Rounds grow with the logarithm of
the longest chain, so a residual stage of a hundred blocks needs a handful.
"""

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def smallest_members(count: int, left: Ids, right: Ids) -> Ids:
    """Return, for each of ``count`` ids, the smallest id of its component; shape (count,)."""
    label = np.arange(count, dtype=np.int64)
    while left.size:
        a, b = label[left], label[right]
        apart = a != b
        if not apart.any():
            break
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(label, np.maximum(a, b), np.minimum(a, b))
        label = _flatten(label)
    return label


def _flatten(label: Ids) -> Ids:
    while True:
        shorter = label[label]
        if np.array_equal(shorter, label):
            return label
        label = shorter
