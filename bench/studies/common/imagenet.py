"""SqueezeNet 1.1 with its published weights, and the few ImageNet images at hand."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from compressor.artifact.weights import load_weights
from compressor.data.images import IndexedSet
from compressor.data.sources import ArrayPixels, Labelled
from compressor.zoo import Architecture, find
from compressor.zoo.inputs import InputSpec


def squeezenet(data: Path) -> tuple[nn.Module, Architecture]:
    """Return the model for images as they are stored, 227x227."""
    arch = find("squeezenet1_1").with_options(shapes=((3, 227, 227),))
    model = arch.build()
    load_weights(model, data / "weights" / "squeezenet1_1_imagenet_fp16.pth", arch)
    return model, arch


def all_images(folder: Path, inputs: InputSpec) -> IndexedSet:
    """Return the images that ``labels.csv`` lists as (file, class)."""
    rows = list(csv.reader((folder / "labels.csv").open()))
    pixels = np.stack([np.asarray(Image.open(folder / "images" / row[0]).convert("RGB")) for row in rows])
    labels = np.array([int(row[1]) for row in rows], dtype=np.int64)
    data = Labelled(pixels=ArrayPixels(pixels), labels=labels)
    return IndexedSet(data=data, indices=np.arange(len(rows), dtype=np.int64), inputs=inputs)
