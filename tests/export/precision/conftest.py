from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from compressor.zoo import find
from export.backends import BACKENDS, Array, SessionOptions
from export.to_onnx import export_onnx

Export = Callable[[str], Path]
Run = Callable[[Path, Array], Array]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export a model of the zoo, small images for torchvision's, once per session."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def export(name: str) -> Path:
        torch.manual_seed(0)
        arch = find(name)
        arch = arch if name.endswith("_cifar") else arch.with_options(shapes=((3, 32, 32),))
        metadata = {"compress.architecture": name}
        return export_onnx(arch.build(), arch.input, folder / f"{name}.onnx", metadata=metadata).path

    return export


@pytest.fixture(scope="session")
def noise() -> Array:
    return np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="session")
def output() -> Run:
    def run(path: Path, images: Array) -> Array:
        with BACKENDS.get("onnxruntime").open(path, SessionOptions(threads=1)) as session:
            return session.run({session.input_names[0]: images})[session.output_names[0]]

    return run


@pytest.fixture
def parsed(tmp_path: Path) -> Callable[..., Path]:
    """Write the graph of a text, with weights by name, to a file."""

    def write(text: str, **weights: Array) -> Path:
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
        model.graph.initializer.extend(onnx.numpy_helper.from_array(w, n) for n, w in weights.items())
        onnx.checker.check_model(model, full_check=True)
        path = tmp_path / "parsed.onnx"
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def cifar(shared: Path) -> tuple[Array, Array, Array]:
    """Return 200 training images, and 500 test images with labels; normalised as the weights want it."""
    folder = shared / "data" / "cifar10"
    labels = np.load(folder / "labels.npz")["test"].reshape(-1)[:500]
    return _sheet(folder / "train_00.webp")[:200], _sheet(folder / "test_00.webp")[:500], labels


def _sheet(path: Path) -> Array:
    sheet = np.asarray(Image.open(path).convert("RGB"))
    tiles = sheet.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)
    mean, std = (
        np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return (tiles.astype(np.float32) / 255 - mean) / std
