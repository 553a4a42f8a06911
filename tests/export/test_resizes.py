"""Resizes by whole numbers carry factors, and end where they ended before."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec
from export.to_onnx import export_onnx

SIDES = InputSpec(shapes=((3, 6, 8),))


class ResizedTo(nn.Module):
    """Ends at a size, as torchvision's feature pyramid asks for it."""

    def __init__(self, size: tuple[int, int], mode: str) -> None:
        super().__init__()
        self.size = size
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, size=self.size, mode=self.mode)


class ResizedByBatch(nn.Module):
    """As many rows as two per image of the batch: no number at export."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, size=(2 * x.shape[0], 16), mode="nearest")


def exported(model: nn.Module, path: Path) -> tuple[Counter[str], onnx.NodeProto]:
    """Export, compare with PyTorch at two batch sizes, and return the operators and the resize."""
    file = export_onnx(model, SIDES, path, metadata={})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        (x,) = example_arrays(SIDES, batch, seed=(batch,))
        (found,) = session.run(None, {"input": x})
        np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)
    nodes = onnx.load(file.path).graph.node
    assert file.nodes == len(nodes)
    return Counter(node.op_type for node in nodes), next(n for n in nodes if n.op_type == "Resize")


@pytest.mark.parametrize(
    ("size", "mode"),
    [((12, 16), "nearest"), ((12, 16), "bilinear"), ((6, 24), "nearest"), ((18, 8), "bilinear")],
    ids=str,
)
def test_a_whole_number_is_a_constant_factor(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    operators, resize = exported(ResizedTo(size, mode), path)
    assert operators == {"Resize": 1}  # the batch axis is not asked for any more
    _, _, factors = resize.input
    (constant,) = [i for i in onnx.load(path).graph.initializer if i.name == factors]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(constant), [1, 1, size[0] / 6, size[1] / 8])


@pytest.mark.parametrize(
    ("size", "mode"),
    [((9, 16), "nearest"), ((9, 16), "bilinear"), ((12, 4), "bilinear"), ((5, 7), "nearest")],
    ids=str,
)
def test_other_sizes_stay_sizes(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    _, resize = exported(ResizedTo(size, mode), tmp_path / "m.onnx")
    assert len(resize.input) == 4
    assert resize.input[2] == ""


def test_a_size_that_follows_the_batch_stays_a_size(tmp_path: Path) -> None:
    _, resize = exported(ResizedByBatch(), tmp_path / "m.onnx")
    assert resize.input[2] == ""
