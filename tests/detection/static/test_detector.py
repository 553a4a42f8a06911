"""The static detector finds what torchvision finds, in PyTorch and as an ONNX file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.resnet import resnet18
from torchvision.ops import MultiScaleRoIAlign

from bench.studies.common.lively import NAMES, enlivened, lively, structured_images
from compressor.base.errors import UsageError
from compressor.zoo.inputs import InputSpec
from detection.reference import match, reference_detections
from detection.static import StaticDetector, StaticSettings
from export.to_onnx import export_onnx

HEIGHT, WIDTH = 160, 224
SIZES = torch.tensor([[160.0, 224.0], [75.0, 100.0]])
FORBIDDEN = {"NonZero", "If", "Loop", "NonMaxSuppression", "Scan", "Compress", "Unique"}

Arrays = dict[str, np.ndarray]


def canvases() -> Tensor:
    """Two images, of which one fills the canvas; what lies outside of the other must not matter."""
    images = structured_images(len(SIZES), HEIGHT, WIDTH, seed=3)
    images[1, :, :, 100:] = 0.7
    images[1, :, 75:] = torch.nan
    return images


def narrow() -> GeneralizedRCNN:
    """Return a detector with all heads, whose every width differs from torchvision's, as after pruning."""
    torch.manual_seed(0)
    body = resnet18(weights=None)
    layers = {"layer1": "0", "layer2": "1", "layer3": "2", "layer4": "3"}
    backbone = BackboneWithFPN(body, layers, [64, 128, 256, 512], 40)
    sizes = {"rpn_pre_nms_top_n_test": 120, "rpn_post_nms_top_n_test": 150, "box_detections_per_img": 30}
    detector = MaskRCNN(backbone, 7, min_size=128, max_size=160, **sizes)
    heads = detector.roi_heads
    heads.box_head.fc6 = nn.Linear(40 * 49, 72)
    heads.box_head.fc7 = nn.Linear(72, 56)
    heads.box_predictor.cls_score = nn.Linear(56, 7)
    heads.box_predictor.bbox_pred = nn.Linear(56, 28)
    heads.mask_head = MaskRCNNHeads(40, (24, 36), 1)
    heads.mask_predictor = MaskRCNNPredictor(36, 20, 7)
    heads.keypoint_roi_pool = MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=14, sampling_ratio=2)
    heads.keypoint_head = KeypointRCNNHeads(40, (24, 12))
    heads.keypoint_predictor = KeypointRCNNPredictor(12, 5)
    return enlivened(detector.eval())


def single_level() -> GeneralizedRCNN:
    """Return a Faster R-CNN without a pyramid; its backbone gives one map."""
    torch.manual_seed(0)
    body = resnet18(weights=None)
    backbone = nn.Sequential(*list(body.children())[:-3])
    backbone.out_channels = 256
    anchors = AnchorGenerator(sizes=((16, 32, 64, 128),), aspect_ratios=((0.5, 1.0, 2.0),))
    detector = FasterRCNN(
        backbone, 7, rpn_anchor_generator=anchors, rpn_head=RPNHead(256, 12), min_size=128, max_size=160,
        rpn_post_nms_top_n_test=150,
    )  # fmt: skip
    return enlivened(detector.eval())


def static(detector: GeneralizedRCNN) -> StaticDetector:
    return StaticDetector(detector, StaticSettings.of(detector, height=HEIGHT, width=WIDTH)).eval()


def run(module: StaticDetector, images: Tensor, sizes: Tensor) -> Arrays:
    with torch.no_grad():
        return {name: value.numpy() for name, value in module(images, sizes).items()}


def used(outputs: Arrays, index: int) -> Arrays:
    count = int(outputs["num_detections"][index])
    return {name: outputs[name][index, :count] for name in ("boxes", "scores", "labels")}


def assert_agrees(outputs: Arrays, reference: list[Arrays]) -> None:
    """At least 99.9 % of all detections are the same; masks and keypoints of equal lists agree."""
    assert outputs["converged"].all()
    reports = [match(expected, used(outputs, i)) for i, expected in enumerate(reference)]
    total = sum(report.reference for report in reports)
    assert total >= 10 * len(reference)
    assert sum(report.found for report in reports) == total
    assert sum(report.matched for report in reports) >= 0.999 * total, reports


@pytest.mark.parametrize("name", NAMES)
def test_finds_what_torchvision_finds(name: str) -> None:
    detector = lively(name)
    outputs = run(static(detector), canvases(), SIZES)
    reference = reference_detections(detector, canvases(), SIZES)
    assert_agrees(outputs, reference)
    classes = {label for expected in reference for label in expected["labels"].tolist()}
    assert len(classes) >= min(5, detector.roi_heads.box_predictor.cls_score.out_features - 1)
    for i, expected in enumerate(reference):
        assert_same_extras(outputs, i, expected)


def assert_same_extras(outputs: Arrays, index: int, expected: Arrays) -> None:
    count = len(expected["scores"])
    if "masks" in expected:
        np.testing.assert_allclose(outputs["masks"][index, :count], expected["masks"][:, 0], atol=1e-4)
    if "keypoints" in expected:
        maps = torch.from_numpy(outputs["heatmaps"][index, :count])
        boxes = torch.from_numpy(outputs["boxes"][index, :count])
        points, scores = heatmaps_to_keypoints(maps, boxes)
        np.testing.assert_allclose(scores, expected["keypoints_scores"], atol=1e-3)
        np.testing.assert_allclose(points, expected["keypoints"], atol=1e-2)


@pytest.mark.parametrize("build", [narrow, single_level])
def test_other_widths_and_backbones(build: object) -> None:
    detector = build()
    outputs = run(static(detector), canvases(), SIZES)
    assert_agrees(outputs, reference_detections(detector, canvases(), SIZES))


def test_rows_beyond_the_detections_are_empty() -> None:
    detector = narrow()
    detector.roi_heads.score_thresh = 0.97
    outputs = run(static(detector), canvases(), SIZES)
    reference = reference_detections(detector, canvases(), SIZES)
    for i, expected in enumerate(reference):
        count = outputs["num_detections"][i]
        assert count == len(expected["scores"]) < 30
        assert not outputs["scores"][i, count:].any()
        assert not outputs["labels"][i, count:].any()
        assert not outputs["boxes"][i, count:].any()


def test_a_cap_that_matters_is_reported() -> None:
    detector = narrow()
    settings = StaticSettings.of(detector, height=HEIGHT, width=WIDTH)
    capped = StaticDetector(detector, replace(settings, candidates=30)).eval()
    assert not run(capped, canvases(), SIZES)["converged"].any()


@pytest.mark.parametrize(
    "change", [{"height": 100}, {"width": 0}, {"detections": 0}, {"nms_iterations": 0}, {"candidates": 99}]
)
def test_impossible_settings_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        StaticSettings(**({"height": 64, "width": 64} | change))


def test_as_an_onnx_file(tmp_path: Path) -> None:
    detector = narrow()
    settings = StaticSettings.of(detector, height=HEIGHT, width=WIDTH)
    module = StaticDetector(detector, replace(settings, candidates=200, nms_block=100)).eval()
    path = tmp_path / "detector.onnx"
    export_onnx(module, InputSpec(shapes=((3, HEIGHT, WIDTH), (2,))), path, metadata={})
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert not kinds & FORBIDDEN
    assert not [kind for kind in kinds if kind.startswith(("Scatter", "Sequence"))]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    images = canvases().nan_to_num()
    for batch in (1, 3):
        which = torch.arange(batch) % len(SIZES)
        feed = {"input_0": images[which].numpy(), "input_1": SIZES[which].numpy()}
        found = dict(zip(names, session.run(None, feed), strict=True))
        expected = run(module, images[which], SIZES[which])
        assert set(found) == set(expected)
        assert {n: a.shape for n, a in found.items()} == {n: a.shape for n, a in expected.items()}
        assert_agrees(found, [used(expected, i) for i in range(batch)])
        for name in ("masks", "heatmaps"):
            assert np.median(np.abs(found[name] - expected[name])) < 1e-3
