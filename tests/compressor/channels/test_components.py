import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compressor.channels.components import smallest_members

_PAIRS = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=80)


def _naive(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    label = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    return label


@given(_PAIRS)
def test_labels_are_the_smallest_member(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array([p[i] for p in pairs], dtype=np.int64) for i in (0, 1))
    assert smallest_members(40, left, right).tolist() == _naive(40, pairs)


def test_a_long_chain_is_one_component() -> None:
    ids = np.random.default_rng(0).permutation(10_000)
    assert set(smallest_members(10_000, ids[:-1], ids[1:]).tolist()) == {0}
