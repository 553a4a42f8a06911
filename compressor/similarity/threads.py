"""One thread for matrices that are too small for more."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run PyTorch's CPU kernels on one thread; the number of threads comes back on exit.

    BLAS and LAPACK split even small matrices over threads that wait for each other in a busy loop. For the
    sizes here that gains little, and where other programs hold a core it was measured to cost a factor of a
    hundred. One thread also rounds the same way whatever the number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
