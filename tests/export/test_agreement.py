"""A quantised file of a trained classifier is judged by its decisions, where they are clear."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from compressor.base.errors import ParityError
from compressor.data import open_data
from compressor.tasks.agreement import check_agreement
from compressor.tasks.classification import CLASSIFICATION
from compressor.tasks.opened import Pair
from compressor.tasks.parity import Answers, ParityReport
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Array, SessionOptions
from export.backends.pytorch import TorchSession
from export.precision.int8 import to_int8
from export.to_onnx import export_onnx

INPUTS = InputSpec(shapes=((3, 12, 12),))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images() -> list[tuple[Array]]:
    batches = open_data("digits", INPUTS).train.batches(8, device=CPU)
    return [(images.numpy(),) for (images, _), _ in zip(batches, range(5), strict=False)]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """A classifier of digits that is right on nearly all of them."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(768, 10)
    )
    images, labels = next(open_data("digits", INPUTS).train.batches(10_000, device=CPU))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(60):
        rows = slice(step % 6 * 256, step % 6 * 256 + 256)
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
        optimiser.step()
    assert (net(images).argmax(1) == labels).float().mean() > 0.95
    return net.eval()


@pytest.fixture(scope="module")
def quantised(model: nn.Module, images: list[tuple[Array]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantised")
    export_onnx(model, INPUTS, folder / "fp32.onnx", metadata={})
    to_int8(folder / "fp32.onnx", folder / "int8.onnx", [batch for (batch,) in images])
    return folder / "int8.onnx"


def prove(model: nn.Module, file: Path, images: list[tuple[Array]]) -> ParityReport:
    options = SessionOptions(threads=1)
    with (
        TorchSession(model, INPUTS, options) as reference,
        BACKENDS.get("onnxruntime").open(file, options) as candidate,
    ):
        pair = Pair(inputs=INPUTS, precision="int8", batches=(1, 2, 8), exported=model)
        return CLASSIFICATION.serving.compare(reference, candidate, pair, images)


def exchanged(file: Path, share: float, target: Path) -> Path:
    """Write a file in which classes 2 and 5 take this share of each other."""
    mixture = np.eye(10, dtype=np.float32)
    mixture[[2, 5], [2, 5]], mixture[[2, 5], [5, 2]] = 1 - share, share
    graph = onnx.load(file)
    (output,) = (value.name for value in graph.graph.output)
    for node in graph.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    graph.graph.initializer.append(numpy_helper.from_array(mixture, "mixture"))
    graph.graph.node.append(onnx.helper.make_node("MatMul", ["before", "mixture"], [output]))
    onnx.save(graph, target)
    return target


def test_a_right_file_of_a_trained_classifier_passes(
    model: nn.Module, quantised: Path, images: list[tuple[Array]]
) -> None:
    assert prove(model, quantised, images).cases


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "differs by"), (0.52, r"names PyTorch's class for [78]\d\.\d%")]
)
def test_two_classes_that_changed_places_are_found(
    model: nn.Module, quantised: Path, images: list[tuple[Array]], share: float, words: str, tmp_path: Path
) -> None:
    """By their values where they are far apart; by the decisions where values are within what int8 may do."""
    wrong = exchanged(quantised, share, tmp_path / "wrong.onnx")
    with pytest.raises(ParityError, match=words):
        prove(model, wrong, images)


def answers(expected: Array, found: Array) -> list[Answers]:
    return [Answers(expected={"y": expected}, found={"y": found}, cases=())]


def test_close_decisions_may_turn_and_clear_ones_may_not() -> None:
    close = np.tile(np.float32([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0]]), (20, 1))
    check_agreement(answers(close, close[:, [1, 0, 2]]))
    clear = np.tile(np.float32([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0]]), (20, 1))
    check_agreement(answers(clear, clear))
    with pytest.raises(ParityError, match=r"names PyTorch's class for 0\.0% of 40 images"):
        check_agreement(answers(clear, clear[:, [1, 0, 2]]))


def test_one_class_for_all_images_proves_nothing() -> None:
    constant = np.tile(np.float32([[1.0, 0.5, 0.0]]), (40, 1))
    check_agreement(answers(constant, constant[:, [1, 0, 2]]))
