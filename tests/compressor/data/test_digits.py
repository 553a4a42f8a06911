import torch

from compressor.data import open_data
from compressor.zoo.inputs import InputSpec


def test_enlarging_keeps_the_brightness(cpu):
    from sklearn.datasets import load_digits

    inputs = InputSpec(shapes=((3, 32, 32),), mean=(0.0,), std=(1.0,))
    data = open_data("digits", inputs)
    splits = (data.train, data.val, data.test)
    pixels = torch.cat([images for split in splits for images, _ in split.batches(2000, device=cpu)])
    assert pixels.shape == (1797, 3, 32, 32)
    # bilinear enlargement by a whole factor repeats edge pixels, so the mean moves a little
    assert abs(float(pixels.mean()) - load_digits().images.mean() / 16) < 0.005


def test_splits_are_of_the_documented_size(inputs):
    data = open_data("digits", inputs)
    assert (len(data.train) + len(data.val), len(data.test)) == (1438, 359)
