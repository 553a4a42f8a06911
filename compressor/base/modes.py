"""Temporary states of a model or of PyTorch, undone on exit."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode; each module's own mode comes back afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def unfused_attention() -> Iterator[None]:
    """Run attention as separate operations: the fused kernel hides them from dispatch modes."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


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
