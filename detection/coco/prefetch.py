"""Work done ahead of need in threads: decoding images leaves the interpreter free for the training loop.

Threads rather than processes: nothing is copied or pickled, errors keep their type, and images of different
sizes do not use up file descriptors.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST_THREADS = 8
_AHEAD = 2  # results waiting per thread


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """Yield ``work(item)`` for every item, in order; an error is raised where its result would have come."""
    threads = min(_MOST_THREADS, _usable_cores())
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > _AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _usable_cores() -> int:
    """Return how many cores this process may run on, which containers limit; not every system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
