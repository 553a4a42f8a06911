"""What models are fed: noise, or the images of a data set in the form that each of them takes."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch

from bench.candidates import Candidate
from bench.measure import Call
from bench.results import Fed
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.data import DataSplits
from compressor.tasks.examples import example_arrays
from compressor.tasks.task import TASKS
from export.backends import Array, Session, SessionOptions

Arrays = tuple[Array, ...]
"""One array (batch, ...) per input."""

SPLIT: Final = "test"
_MOST_IMAGES: Final = 64
_MOST_BYTES: Final = 256 * 2**20
_SHUFFLES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """What every model is fed.

    Attributes:
        seed: of noise, and of the order of images.
        images: model name -> images as that model takes them, (images, ...) per input; empty for noise.
        fed: where the images come from; None for noise.
    """

    seed: int
    images: dict[str, Arrays]
    fed: Fed | None = None

    def call(self, session: Session, model: Candidate, batch: int) -> Call:
        """Return what runs a model once: on noise, or on the next images of a shuffled order.

        Raises:
            UsageError: the session takes another number of inputs.
        """
        batches = [session.named(arrays, model.name) for arrays in self._batches(model, batch)]
        if len(batches) == 1:
            return functools.partial(session.run, batches[0])
        turn = itertools.cycle([batches[position] for position in self._order(len(batches))])
        return lambda: session.run(next(turn))

    def _batches(self, model: Candidate, batch: int) -> list[Arrays]:
        if self.fed is None:
            return [example_arrays(model.inputs, batch, seed=(self.seed, batch))]
        arrays = self.images[model.name]
        count = max(1, self.fed.images // batch)
        rows = np.arange(count * batch).reshape(count, batch) % self.fed.images
        return [tuple(array[row] for array in arrays) for row in rows]

    def _order(self, batches: int) -> list[int]:
        """Return shuffles of all batches one after the other: a block of calls must not see the same ones."""
        draw = np.random.default_rng([self.seed, batches])
        return [int(position) for _ in range(_SHUFFLES) for position in draw.permutation(batches)]


def feeds_for(models: Sequence[Candidate], data: str | None, options: SessionOptions, seed: int) -> Feeds:
    """Return noise, or images of a data set, spread evenly over its test split.

    Args:
        models: that will be fed.
        data: what the data set is called; None for noise.
        options: to open files with, which say what they are shown.
        seed: of the noise, and of the order.

    Raises:
        UsageError: there is no such data set, or it does not fit a model.
    """
    if data is None:
        return Feeds(seed=seed, images={})
    opened = {model.name: _splits(model, data, options) for model in models}
    images = {model.name: _images(model, opened[model.name]) for model in models}
    splits = next(iter(opened.values()))
    count = len(next(iter(images.values()))[0])
    fed = Fed(data=splits.name, split=SPLIT, images=count, synthetic=splits.synthetic)
    return Feeds(seed=seed, images=images, fed=fed)


def _splits(model: Candidate, data: str, options: SessionOptions) -> DataSplits:
    if model.data is None:
        raise UsageError(f"{foreign(model.name)} does not say what it is shown", "leave out --data.")
    return model.data(data, options)


def _images(model: Candidate, splits: DataSplits) -> Arrays:
    size = 4 * sum(math.prod(shape) for shape in model.inputs.shapes)
    split = splits.images(SPLIT)
    count = max(1, min(_MOST_IMAGES, _MOST_BYTES // size, len(split)))
    feeds = list(islice(_singles(model, splits, len(split) // count), count))
    return tuple(np.concatenate(arrays) for arrays in zip(*feeds, strict=True))


def _singles(model: Candidate, splits: DataSplits, step: int) -> Iterator[Arrays]:
    """Yield every ``step``-th image, (1, ...) per input."""
    task = TASKS.get(splits.task).data
    for batch in splits.images(SPLIT).batches(1, device=torch.device("cpu"), rank=0, world=max(1, step)):
        yield task.feeds(batch, model.inputs)
