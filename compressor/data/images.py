"""Batches from raw images: order, sharding, augmentation and normalisation.

Data-parallel training must compute what one process computes. Therefore everything random depends on the
recipe's seed, the epoch and the *image*, never on the worker that happens to load it: a global batch is drawn
first, and worker r of w takes every w-th image of it, starting with its r-th.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compressor.data.sources import Labelled
from compressor.zoo.inputs import InputSpec

Batch: TypeAlias = tuple[Tensor, Tensor]
"""(images, labels): float32 of shape (n, channels, height, width), normalised; int64 of shape (n,)."""

_PADDING = 4
_ORDER, _AUGMENTATION = 0, 1  # two independent random streams per epoch


class Drawing(Protocol):
    """What a recipe says of images: in which order they are drawn, and how each is changed."""

    @property
    def seed(self) -> int:
        """Of everything random."""

    @property
    def batch_size(self) -> int:
        """Images of a global batch."""

    @property
    def augment(self) -> bool:
        """Whether images are shifted, and mirrored where that is allowed."""

    @property
    def flip(self) -> bool:
        """Whether images may be mirrored."""


class ImageSet(Protocol):
    """One split of a data set, as training and evaluation see it; what a batch is depends on the task."""

    @property
    def indices(self) -> NDArray[np.int64]:
        """Position of every image in the stored split that it comes from."""

    def __len__(self) -> int: ...

    def batches(
        self, batch_size: int, *, device: torch.device, rank: int = 0, world: int = 1
    ) -> Iterator[Any]:
        """Yield images rank, rank + world, ... in stored order; the last batch may be smaller."""

    def training_batches(
        self, recipe: Drawing, *, epoch: int, rank: int, world: int, device: torch.device
    ) -> Iterator[Any]:
        """Yield this worker's share of every global batch of ``recipe.batch_size`` shuffled images.

        The order depends on (recipe.seed, epoch) alone. There are ``steps_in_epoch`` batches: an incomplete
        last one is dropped, unless it is the only one.
        """


class NoImages:
    """A split without images."""

    indices: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return 0

    def batches(
        self, batch_size: int, *, device: torch.device, rank: int = 0, world: int = 1
    ) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())

    def training_batches(
        self, recipe: Drawing, *, epoch: int, rank: int, world: int, device: torch.device
    ) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexedSet:
    """Some images of a source, by position: the one ``ImageSet`` behind every kind.

    Attributes:
        data: the source's images and labels.
        indices: which of them belong to this set.
        inputs: size and normalisation of the model's input.
    """

    data: Labelled
    indices: NDArray[np.int64]
    inputs: InputSpec

    def __len__(self) -> int:
        return len(self.indices)

    def batches(
        self, batch_size: int, *, device: torch.device, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """Yield images rank, rank + world, ... in stored order; the last batch may be smaller."""
        mine = self.indices[rank::world]
        shards = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
        for positions, images in zip(shards, self.data.pixels.read(shards), strict=True):
            yield self._batch(positions, images, device)

    def training_batches(
        self, recipe: Drawing, *, epoch: int, rank: int, world: int, device: torch.device
    ) -> Iterator[Batch]:
        """Yield this worker's share of every shuffled global batch, augmented if the recipe says so."""
        order = self.indices[_generator(recipe.seed, epoch, _ORDER).permutation(len(self))]
        size = min(recipe.batch_size, len(self))
        steps = steps_in_epoch(len(self), recipe.batch_size)
        shards = [order[step * size : (step + 1) * size][rank::world] for step in range(steps)]
        augmentation = Augmentation.draw(recipe, epoch, len(self.data.labels))
        if not self.data.mirrorable:
            augmentation = replace(augmentation, mirrored=None)
        for positions, images in zip(shards, self.data.pixels.read(shards), strict=True):
            yield self._batch(positions, augmentation.apply(images, positions), device)

    def _batch(self, positions: NDArray[np.int64], images: NDArray[np.uint8], device: torch.device) -> Batch:
        labels = torch.from_numpy(self.data.labels[positions])
        return normalised(torch.from_numpy(images).to(device), self.inputs), labels.to(device)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Augmentation:
    """One epoch's random shifts and flips, by position in the source.

    Attributes:
        shifts: int64 of shape (source images, 2): row and column of the crop in the padded image; None shifts
            nothing.
        mirrored: bool of shape (source images,); None mirrors nothing.
    """

    shifts: NDArray[np.int64] | None
    mirrored: NDArray[np.bool_] | None

    @classmethod
    def draw(cls, recipe: Drawing, epoch: int, images: int) -> "Augmentation":
        """Draw for all images of the source at once, so that no draw depends on the batch or the worker."""
        if not recipe.augment:
            return cls(shifts=None, mirrored=None)
        generator = _generator(recipe.seed, epoch, _AUGMENTATION)
        shifts = generator.integers(0, 2 * _PADDING + 1, size=(images, 2), dtype=np.int64)
        mirrored = generator.random(images) < 0.5
        return cls(shifts=shifts, mirrored=mirrored if recipe.flip else None)

    def apply(self, images: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return ``images``, shape (n, height, width, channels), each changed as drawn for its position."""
        if self.shifts is not None:
            images = shifted(images, self.shifts[positions])
        if self.mirrored is not None:
            flips = self.mirrored[positions]
            images[flips] = images[flips, :, ::-1]
        return images


def shifted(images: NDArray[np.uint8], corners: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Crop each image at its own corner out of itself with 4 pixels of zeros on every side.

    This is the usual CIFAR augmentation (He et al. 2016, section 4.2).

    Args:
        images: uint8 of shape (n, height, width, channels).
        corners: int64 of shape (n, 2), row and column in 0..8; (4, 4) changes nothing.
    """
    count, height, width, _ = images.shape
    sides = (_PADDING, _PADDING)
    padded = np.pad(images, ((0, 0), sides, sides, (0, 0)))
    rows = corners[:, 0, None, None] + np.arange(height)[:, None]
    columns = corners[:, 1, None, None] + np.arange(width)
    crops: NDArray[np.uint8] = padded[np.arange(count)[:, None, None], rows, columns]
    return crops


def normalised(images: Tensor, inputs: InputSpec) -> Tensor:
    """Return float32 NCHW images, (pixel / 255 - mean) / std; gray is repeated to the model's channels.

    Args:
        images: uint8 of shape (n, height, width, channels).
        inputs: channels, mean and standard deviation of the model's input.
    """
    channels = inputs.image[0]
    pixels = images.permute(0, 3, 1, 2).expand(-1, channels, -1, -1).contiguous().float()
    mean = torch.tensor(inputs.mean, device=images.device).view(-1, 1, 1)
    std = torch.tensor(inputs.std, device=images.device).view(-1, 1, 1)
    return pixels.div_(255).sub_(mean).div_(std)


def steps_in_epoch(images: int, batch_size: int) -> int:
    """Return how many optimiser steps one pass over ``images`` takes."""
    return max(1, images // batch_size)


def _generator(seed: int, epoch: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, stream])
