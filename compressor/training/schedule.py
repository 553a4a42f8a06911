"""Learning rate as a pure function of the step: nothing to save, nothing to restore.

Warm-up follows Goyal et al., Accurate, Large Minibatch SGD, 2017; the cosine Loshchilov and Hutter, SGDR,
2017.
"""

import math

from compressor.tasks.recipe import Recipe


def lr_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of optimiser step ``step``, counted from 0 over the whole run.

    With w warm-up steps in S steps altogether, and p the peak::

        step + 1 <= w:  p * (step + 1) / w      (the line through zero; a first step of zero would be wasted)
        cosine:         p * (1 + cos(pi * (step - w) / (S - w))) / 2
        step:           p * gamma ** (number of milestones reached)

    A milestone m is reached when m epochs have been completed. Warm-up has priority over either schedule.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step + 1 <= warmup:
        return recipe.lr * (step + 1) / warmup
    if recipe.schedule == "step":
        reached = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
        return recipe.lr * recipe.gamma**reached
    total = recipe.epochs * steps_per_epoch
    # a fractional warm-up may end between two steps: then this step is at most one past the peak
    progress = max(0.0, step - warmup) / max(1.0, total - warmup)
    return recipe.lr * (1 + math.cos(math.pi * min(1.0, progress))) / 2
