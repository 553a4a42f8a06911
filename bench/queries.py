"""How many queries a percentile needs, and what so many allow to be said of it.

A percentile holds where few enough queries were late. If one query in a hundred is late in truth, the number
of late ones among n follows the binomial distribution; a 99th percentile is shown to hold where so few as
were seen, or fewer, would come with a probability of at most 1 % then. That is the early-stopping rule of
MLPerf's load generator: 459 queries with none late, 662 with one.
"""

import itertools
import math
from typing import Final

P99: Final = 0.99
CONFIDENCE: Final = 0.99


def holds(queries: int, late: int, *, share: float = P99) -> bool:
    """Say whether it is shown that at least ``share`` of all queries are in time.

    Args:
        queries: that were made.
        late: of those.
        share: 0.99 for the 99th percentile.
    """
    return _at_most(late, queries, 1 - share) <= 1 - CONFIDENCE


def most_late(queries: int, *, share: float = P99) -> int:
    """Return how many of so many queries may be late; -1 where even none would show nothing."""
    return next(late for late in itertools.count() if not holds(queries, late, share=share)) - 1


def needed(late: int = 1, *, share: float = P99) -> int:
    """Return the fewest queries of which so many may be late: 662 for one and a 99th percentile."""
    return next(n for n in itertools.count(late + 1) if holds(n, late, share=share))


def _at_most(late: int, queries: int, rate: float) -> float:
    """Return the probability of at most ``late`` events among ``queries`` that come with ``rate``."""
    terms = (
        math.lgamma(queries + 1) - math.lgamma(k + 1) - math.lgamma(queries - k + 1)
        + k * math.log(rate) + (queries - k) * math.log1p(-rate)
        for k in range(min(late, queries) + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, terms))
