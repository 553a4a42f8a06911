"""Whole detectors: published sizes, the oracle on every group, checkpoints, and both modes afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from compressor.base.errors import UsageError
from compressor.cli.sources import open_model
from compressor.criteria import CRITERIA
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Published, Share
from compressor.steps.shrink import shrink
from compressor.zoo import find
from compressor.zoo.architecture import Architecture
from detection.zoo import NAMES

SMALL = {"rpn_post_nms_top_n_test": 8, "box_detections_per_img": 4}
PUBLISHED = {
    "fasterrcnn_resnet50_fpn": ("41.81", "31.30"),
    "maskrcnn_resnet50_fpn": ("44.45", "33.94"),
    "keypointrcnn_resnet50_fpn": ("59.19", "48.68"),
}
BACKBONE_RATES = "[0.]+[0.1]*3+[0.35]*16"


def architecture(name: str, **kwargs: object) -> Architecture:
    return find(name).with_options({**SMALL, **kwargs}, ((3, 128, 160),))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_backbone_rate_gives_the_published_sizes(name: str) -> None:
    arch = architecture(name)
    model = arch.build()
    spec = PruneRequest(target=Published(BACKBONE_RATES), protect=arch.scopes["backbone"])
    planned = make_plan(model, arch, spec, CRITERIA.get("l1")())
    small = shrink(model, planned.plan)
    assert (f"{parameters(model) / 1e6:.2f}", f"{parameters(small) / 1e6:.2f}") == PUBLISHED[name]
    changed = {group.name for group in planned.plan.decisions if group.kept < group.size}
    assert changed
    assert all(name.startswith("backbone.body.") for name in changed)
    widths = [
        small.get_submodule(f"backbone.body.layer{stage}.0.conv3").out_channels for stage in (1, 2, 3, 4)
    ]
    assert widths == [230, 460, 921, 2048]


@pytest.mark.parametrize(("norm", "rate"), [("batch", 0.3), ("frozen", 0.5)])
@pytest.mark.parametrize("name", NAMES)
def test_every_group_of_the_whole_detector_passes_the_oracle(name: str, norm: str, rate: float) -> None:
    arch = architecture(name, norm=norm)
    model = arch.build()
    planned = make_plan(model, arch, PruneRequest(target=Share(rate)), CRITERIA.get("l1")())
    assert planned.oracle.refused is None
    assert planned.oracle.max_relative_difference is not None
    assert planned.oracle.max_relative_difference < 1e-4
    reasons = {group.frozen for group in planned.graph.groups} - {None}
    assert reasons == {"input of the model", "output of the model"}
    assert all(group.kept < group.size for group in planned.plan.decisions if not group.reason)
    assert_runs(shrink(model, planned.plan), name)


def assert_runs(small: nn.Module, name: str) -> None:
    image = torch.rand(3, 100, 120)
    with torch.no_grad():
        found = small.eval()([image])
    assert {"boxes", "labels", "scores"} <= found[0].keys()
    target = {"boxes": torch.tensor([[10.0, 10.0, 60.0, 70.0]]), "labels": torch.tensor([1])}
    if name.startswith("mask"):
        target["masks"] = torch.ones(1, 100, 120, dtype=torch.uint8)
    if name.startswith("keypoint"):
        target["keypoints"] = torch.tensor([[[30.0, 40.0, 1.0]] * 17])
    losses = small.train()([image, image], [target, dict(target)])
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert small.backbone.fpn.inner_blocks[0][0].weight.grad is not None


def test_protected_parts_stay_whole() -> None:
    arch = architecture("fasterrcnn_resnet50_fpn")
    spec = PruneRequest(target=Share(0.5), protect=("backbone.fpn*", "roi_heads"))
    planned = make_plan(arch.build(), arch, spec, CRITERIA.get("l1")())
    for group in planned.plan.decisions:
        whole = group.name.startswith(("backbone.fpn", "roi_heads"))
        assert (group.kept == group.size) == (whole or bool(group.reason)), group


def test_a_checkpoint_says_its_norms_and_classes(tmp_path: Path) -> None:
    arch = architecture("fasterrcnn_mobilenet_v3_large_fpn", norm="frozen", num_classes=7)
    trained = arch.build()
    torch.save(trained.state_dict(), tmp_path / "detector.pth")
    source = open_model(arch.name, tmp_path / "detector.pth", None, "3x128x160")
    assert source.arch.kwargs["num_classes"] == 7
    assert any(isinstance(m, FrozenBatchNorm2d) for m in source.module.modules())
    for name, tensor in trained.state_dict().items():
        assert torch.equal(source.module.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("classifier", "detector"),
    [
        ("resnet50", "fasterrcnn_resnet50_fpn"),
        ("mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_fpn"),
    ],
)
def test_a_classifier_becomes_the_backbone(tmp_path: Path, classifier: str, detector: str) -> None:
    weights = find(classifier).build().state_dict()
    torch.save(weights, tmp_path / "backbone.pth")
    source = open_model(detector, tmp_path / "backbone.pth", None, "3x128x160")
    first = next(iter(weights))
    body = source.module.state_dict()
    assert torch.equal(body["backbone.body." + first.removeprefix("features.")], weights[first])
    assert "random in backbone.fpn" in source.manifest.weights_from


def test_a_detector_with_missing_tensors_is_refused(tmp_path: Path) -> None:
    arch = architecture("fasterrcnn_mobilenet_v3_large_fpn")
    state = arch.build().state_dict()
    del state["roi_heads.box_head.fc6.weight"]
    torch.save(state, tmp_path / "detector.pth")
    with pytest.raises(UsageError, match="1 tensors are missing"):
        open_model(arch.name, tmp_path / "detector.pth", None, "3x128x160")


def test_the_input_says_how_images_are_resized() -> None:
    arch = architecture("fasterrcnn_resnet50_fpn")
    transform = arch.build().transform
    assert (transform.min_size, transform.max_size) == ((128,), 160)
    larger = replace(arch, input=replace(arch.input, shapes=((3, 320, 256),))).build().transform
    assert (larger.min_size, larger.max_size) == ((256,), 320)


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(UsageError, match="neither 'batch' nor 'frozen'"):
        architecture("fasterrcnn_resnet50_fpn", norm="group").build()
