"""A padded model exports to a file that computes what the file of the original computes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from compressor.channels import trace
from compressor.steps.align import pad_to_multiple
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import shrink
from compressor.tasks.parity import relative_difference
from compressor.zoo import find
from export.backends import BACKENDS, SessionOptions
from export.to_onnx import export_onnx


@pytest.mark.parametrize("name", ["resnet20_cifar"])
def test_both_files_give_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    arch = find(name).with_options(shapes=((3, 32, 32),))
    model, inputs = arch.build(), list(arch.example())
    graph = trace(model, inputs)
    keep = {i: np.arange(round(0.7 * graph.groups[i].size)) for i in graph.free}
    small = shrink(model, PrunePlan(arch=name, steps=(removal(graph, keep, ()),)))
    padded, report = pad_to_multiple(small, inputs, 8, max_growth=float("inf"))
    assert report.padded
    images = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    outputs = []
    for stem, candidate in (("small", small), ("padded", padded)):
        path = export_onnx(candidate, arch.input, tmp_path / f"{stem}.onnx", metadata={}).path
        with BACKENDS.get("onnxruntime").open(path, SessionOptions(threads=1)) as session:
            outputs.append(session.run({"input": images})["output"])
    assert relative_difference(*outputs) <= 1e-5
