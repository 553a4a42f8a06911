"""The canvas is what torchvision's transform makes of images of several sizes."""

import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from detection.static.canvas import NormalisedCanvas

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIZES = ((64, 96), (40, 96), (64, 33))


@pytest.mark.parametrize("around", [0.0, 0.7, float("nan"), float("inf")])
def test_equals_torchvision_whatever_is_around_the_image(around: float) -> None:
    transform = GeneralizedRCNNTransform(64, 96, MEAN, STD, size_divisible=32)
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, *size, generator=generator) for size in SIZES]
    canvas = torch.full((len(SIZES), 3, 64, 96), around)
    for row, image in zip(canvas, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    expected = transform.batch_images([transform.normalize(image) for image in images], 32)
    found = NormalisedCanvas(transform, canvas.device)(canvas, torch.tensor(SIZES, dtype=torch.float32))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
