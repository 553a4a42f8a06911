"""``synthetic:NxCxHxW``: random images with random labels, to exercise the machinery where there is no data.

No accuracy on it means anything, and everything that reports one can see ``synthetic``.
"""

import re

import numpy as np

from compressor.base.bounds import require_memory
from compressor.base.errors import UsageError
from compressor.data import DATASETS
from compressor.data.sources import ArrayPixels, Labelled, Source
from compressor.zoo.inputs import InputSpec

_CLASSES = 10
_SEED = 0


@DATASETS.register("synthetic")
def synthetic(argument: str, inputs: InputSpec) -> Source:
    """Return N random training images and a quarter as many for the test, of 10 random classes.

    Raises:
        UsageError: ``argument`` is not four positive numbers.
    """
    del inputs  # the size is the argument's; whether it fits the model is checked for every kind alike
    match = re.fullmatch("x".join([r"([1-9]\d{0,9})"] * 4), argument)
    if match is None:
        raise UsageError(
            f"data 'synthetic:{argument}' is not of the form synthetic:NxCxHxW",
            "give the number of images and their size, for instance synthetic:512x3x32x32",
        )
    count, channels, height, width = (int(number) for number in match.groups())
    require_memory(
        2 * count * channels * height * width,
        f"data 'synthetic:{argument}'",
        "ask for fewer or smaller images",
    )
    generator = np.random.default_rng(_SEED)
    shape = (height, width, channels)
    return Source(
        name=f"synthetic {argument}",
        classes=_CLASSES,
        train=_random_images(generator, count, shape),
        test=_random_images(generator, max(1, count // 4), shape),
        synthetic=True,
    )


def _random_images(generator: np.random.Generator, count: int, shape: tuple[int, int, int]) -> Labelled:
    images = generator.integers(0, 256, size=(count, *shape), dtype=np.uint8)
    labels = generator.integers(0, _CLASSES, size=count, dtype=np.int64)
    return Labelled(pixels=ArrayPixels(images), labels=labels)
