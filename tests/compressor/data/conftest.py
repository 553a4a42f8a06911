"""Small real data sets on disk, one maker per kind."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compressor.zoo.inputs import InputSpec

INPUTS = InputSpec(shapes=((3, 32, 32),))


def write_npz(folder: Path) -> str:
    generator = np.random.default_rng(1)
    arrays = {}
    for split, count in (("train", 40), ("test", 12)):
        arrays[f"x_{split}"] = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"y_{split}"] = generator.integers(0, 4, count)
    np.savez(folder / "small.npz", **arrays)
    return f"npz:{folder / 'small.npz'}"


def write_cifar10(folder: Path) -> str:
    generator = np.random.default_rng(2)
    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        rows = generator.integers(0, 256, (10, 3072), dtype=np.uint8)
        content = {b"data": rows, b"labels": generator.integers(0, 10, 10).tolist()}
        (batches / name).write_bytes(pickle.dumps(content, protocol=2))
    return f"cifar10:{folder}"


def write_imagefolder(folder: Path) -> str:
    generator = np.random.default_rng(3)
    for split, count in (("train", 10), ("val", 4)):
        for name in ("ant", "bee"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number:02}.png")
    return f"imagefolder:{folder}"


SPECS: dict[str, Callable[[Path], str]] = {
    "npz": write_npz,
    "cifar10": write_cifar10,
    "imagefolder": write_imagefolder,
    "digits": lambda folder: "digits",
    "synthetic": lambda folder: "synthetic:30x3x32x32",
}


@pytest.fixture
def spec_of(tmp_path: Path) -> Callable[[str], str]:
    """Write a small data set of a kind and return its spec; a new kind needs an entry in SPECS."""
    return lambda kind: SPECS[kind](tmp_path)


@pytest.fixture
def inputs() -> InputSpec:
    return INPUTS


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")
