"""What a data set kind provides: raw images and labels, before any split, shuffling or normalisation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import UsageError


class PixelSource(Protocol):
    """Images that can be read by position, all of one size."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""

    def read(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
        """Yield, for each batch of positions, its images: uint8 of shape (n, height, width, channels).

        The caller may change what it receives; the source must not see that.
        """


@dataclass(frozen=True, slots=True, eq=False)
class ArrayPixels:
    """Images in memory: uint8 of shape (n, height, width, channels)."""

    images: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    def read(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
        """Yield a copy of each batch."""
        for positions in batches:
            yield self.images[positions]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """Images of one split with their labels.

    Attributes:
        pixels: the images.
        labels: int64 of shape (n,).
        mirrorable: whether a mirrored image still shows its label; augmentation never flips where not.
    """

    pixels: PixelSource
    labels: NDArray[np.int64]
    mirrorable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A data set as it is stored.

    Attributes:
        name: what to call it in reports.
        classes: number of classes that the labels speak of.
        train: images to learn from; the validation split is held out of these.
        test: images for the final figure only.
        val: a validation split of its own, where there is one.
        synthetic: whether images and labels are random.
        widened: how the data could speak of more classes, in words for a hint; "" where it cannot.
        test_name: what the data set itself calls the split that is used as ``test``.
    """

    name: str
    classes: int
    train: Labelled
    test: Labelled
    val: Labelled | None = None
    synthetic: bool = False
    widened: str = ""
    test_name: str = "test"


def require_argument(argument: str, usage: str) -> str:
    """Return ``argument`` if there is one.

    Raises:
        UsageError: it is empty; ``usage`` shows the right form.
    """
    if not argument:
        raise UsageError(f"data {usage.partition(':')[0]!r} does not say which", f"write it as {usage}")
    return argument
