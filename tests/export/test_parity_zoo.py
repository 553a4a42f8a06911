"""Nine architectures of the zoo: the exported file computes what PyTorch computes, at any batch size."""

from pathlib import Path

import pytest
import torch

from compressor.channels import trace
from compressor.criteria import CRITERIA
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Share
from compressor.steps.shrink import shrink
from compressor.tasks.parity import compare
from compressor.zoo import find
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.to_onnx import export_onnx

MODELS = (
    "resnet20_cifar",
    "densenet40_cifar",
    "vgg16_bn_cifar",
    "resnet18",
    "mobilenet_v2",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "lraspp_mobilenet_v3_large",  # all that mobilenet_v3 is made of, and a dictionary
)


@pytest.mark.parametrize("name", MODELS)
def test_a_pruned_model_exports_exactly(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small_image = () if name.endswith("_cifar") else ((3, 64, 64),)
    arch = find(name).with_options(shapes=small_image)
    model = arch.build()
    planned = make_plan(model, arch, PruneRequest(target=Share(0.3)), CRITERIA.get("l1")())
    small = shrink(model, planned.plan)
    assert trace(small, arch.example()).groups
    file = export_onnx(small, arch.input, tmp_path / "m.onnx", metadata={})
    options = SessionOptions(threads=1)
    with (
        TorchSession(small, arch.input, options) as reference,
        BACKENDS.get("onnxruntime").open(file.path, options) as candidate,
    ):
        report = compare(reference, candidate, arch.input, batches=(1, 8))
    assert report.max_relative_difference <= 1e-4
