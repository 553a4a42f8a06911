"""Exponential moving average of weights, which often generalises better than the last ones.

Source: B. Polyak and A. Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
"""

import copy
from itertools import chain

import torch
from torch import nn


class AveragedWeights:
    """A copy of a model whose weights follow: average = decay * average + (1 - decay) * weight.

    It starts as an exact copy. Floating-point buffers, such as running statistics, are averaged as well;
    integer ones are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the weights of ``model``, once per optimiser step."""
        # parameters() and buffers() list a shared tensor once, so that it moves once
        averages = chain(self.model.parameters(), self.model.buffers())
        for average, current in zip(averages, chain(model.parameters(), model.buffers()), strict=True):
            if average.is_floating_point():
                average.lerp_(current, 1 - self.decay)
            else:
                average.copy_(current)
