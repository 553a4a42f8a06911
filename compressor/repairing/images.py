"""Which images a network is repaired on."""

from collections.abc import Iterator

import torch

from compressor.data import DataSplits
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import TASKS, Batch


def repair_images(data: DataSplits, images: int, seed: int = 0) -> Iterator[Batch]:
    """Return training images drawn at random, unchanged; of small data sets all, in their order.

    Random, because stored images may be sorted by class.
    """
    size = TASKS.get(data.task).data.batch_size
    if len(data.train) <= max(images, size):
        return data.train.batches(size, device=torch.device("cpu"))
    recipe = Recipe(batch_size=size, seed=seed, augment=False)
    return data.train.training_batches(recipe, epoch=0, rank=0, world=1, device=torch.device("cpu"))
