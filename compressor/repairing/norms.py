"""Estimate the running statistics of norms again."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from compressor.base.modes import evaluation
from compressor.tasks.task import Batch


def estimate_norms(
    model: nn.Module, batches: Iterable[Batch], run: Callable[[nn.Module, Batch], object]
) -> None:
    """Replace running statistics by the mean over batches of what the norms meet, in place.

    Frozen norms and norms without statistics stay as they are.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    momenta = [norm.momentum for norm in norms]
    with evaluation(model), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative average
            norm.training = True
        for batch in batches:
            run(model, batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.training = False
