"""``digits``: 1797 handwritten digits of 8x8 pixels, enlarged to the model's input. Needs no download.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, as bundled with
scikit-learn. Mirrored digits are other symbols, so that training never flips them.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from compressor.base.errors import UsageError
from compressor.data import DATASETS
from compressor.data.sources import ArrayPixels, Labelled, Source
from compressor.zoo.inputs import InputSpec

_TEST_SHARE = 0.2
_SPLIT_SEED = 0
_WHITE = 16.0


@DATASETS.register("digits")
def digits(argument: str, inputs: InputSpec) -> Source:
    """Return the digits as gray images of the model's size: 1438 to train, 359 to test.

    Raises:
        UsageError: scikit-learn is missing, or there is an argument.
    """
    if argument:
        raise UsageError(f"data 'digits' takes no argument, but got {argument!r}", "write it as digits")
    small, labels = _load()
    images = _enlarged(small, inputs.image[1], inputs.image[2])
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    tests = round(_TEST_SHARE * len(labels))
    train, test = np.sort(order[tests:]), np.sort(order[:tests])
    return Source(
        name="digits",
        classes=10,
        train=Labelled(pixels=ArrayPixels(images[train]), labels=labels[train], mirrorable=False),
        test=Labelled(pixels=ArrayPixels(images[test]), labels=labels[test]),
    )


def _load() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError(
            "data 'digits' comes with scikit-learn, which is not installed",
            "pip install compress-cnn[digits]",
        ) from error
    bunch = load_digits()
    return bunch.images.astype(np.float32), bunch.target.astype(np.int64)


def _enlarged(images: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Map (n, 8, 8) in 0..16 to uint8 (n, height, width, 1)."""
    levels = torch.from_numpy(images)[:, None] * (255 / _WHITE)
    large = F.interpolate(levels, size=(height, width), mode="bilinear", align_corners=False)
    pixels: NDArray[np.uint8] = large.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return pixels
