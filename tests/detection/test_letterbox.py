"""The letterbox agrees with torchvision's resizing, and comes back."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from compressor.base.errors import UsageError
from detection.letterbox import letterbox
from detection.postprocess import boxes_on_image

SHAPES = [(480, 640), (640, 480), (37, 53), (1, 1), (1, 4000), (4000, 1), (96, 128)]


@pytest.mark.parametrize("shape", SHAPES)
def test_resizes_as_torchvision(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    boxed = letterbox(image, 96, 128)
    rows, columns = boxed.size
    assert boxed.canvas.shape == (3, 96, 128)
    assert rows == 96 or columns == 128
    assert min(rows, columns) >= 1
    expected = F.interpolate(torch.from_numpy(image)[None], size=boxed.size, mode="bilinear")[0].numpy()
    np.testing.assert_allclose(boxed.canvas[:, :rows, :columns], expected, atol=1e-6)
    assert not boxed.canvas[:, rows:].any()
    assert not boxed.canvas[:, :, columns:].any()


@pytest.mark.parametrize(
    "shape", [(480, 640), (427, 640), (640, 427), (333, 500), (375, 500), (640, 516), (37, 53)]
)
def test_images_are_as_large_as_torchvision_makes_them(shape: tuple[int, int]) -> None:
    transform = GeneralizedRCNNTransform(160, 160, [0.5] * 3, [0.5] * 3)
    resized, _ = transform.resize(torch.zeros(3, *shape))
    assert letterbox(np.zeros((3, *shape), dtype=np.uint8), 160, 160).size == tuple(resized.shape[1:])


def test_bytes_and_fractions_are_the_same_image() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 30, 50), dtype=np.uint8)
    as_bytes = letterbox(pixels, 64, 64)
    as_fractions = letterbox(pixels.astype(np.float32) / 255, 64, 64)
    np.testing.assert_allclose(as_bytes.canvas, as_fractions.canvas, atol=1e-6)
    assert as_bytes.size == (38, 64)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_image_comes_back(shape: tuple[int, int]) -> None:
    boxed = letterbox(np.zeros((3, *shape), dtype=np.uint8), 96, 128)
    rows, columns = boxed.size
    whole = np.array([[0, 0, columns, rows]], dtype=np.float32)
    back = boxes_on_image(whole, boxed.scale, boxed.original)
    np.testing.assert_allclose(back, [[0, 0, shape[1], shape[0]]], rtol=1e-6)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 0, 4), dtype=np.uint8),
        np.zeros((1, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.uint8),
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((3, 4, 4), dtype=np.int64),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="image has"):
        letterbox(image, 32, 32)
