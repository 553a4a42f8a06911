"""Every form in which a detector is exported finds, in ONNX Runtime, what torchvision finds."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compressor.base.errors import UsageError
from compressor.zoo import find
from compressor.zoo.inputs import InputSpec
from detection.reference import match, reference_detections
from export.precision import to_fp16
from export.to_onnx import export_onnx
from tests.detection.static.test_detector import HEIGHT, SIZES, WIDTH, canvases, narrow

NAME = "maskrcnn_resnet50_fpn"
FORMS = [None, *find(NAME).forms]
CONTROL = {"If", "Loop", "Scan"}
MARKS: dict[str | None, tuple[set[str], set[str]]] = {
    None: (set(), {*CONTROL, "NonZero", "NonMaxSuppression"}),
    "nms-op": ({"NonMaxSuppression"}, {*CONTROL, "NonZero"}),
    "full": ({"If", "NonZero"}, {"Loop"}),
}
"""Operators that a form has, and those it does not have."""


def opened(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("form", FORMS)
def test_finds_what_torchvision_finds(form: str | None, tmp_path: Path) -> None:
    detector = narrow()
    module, inputs = find(NAME).form(form)(detector, InputSpec(shapes=((3, HEIGHT, WIDTH),)))
    file = export_onnx(module, inputs, tmp_path / "m.onnx", metadata={})
    session = opened(file.path)
    operators = {node.op_type for node in onnx.load(file.path).graph.node}
    has, lacks = MARKS[form]
    assert has <= operators
    assert not lacks & operators
    names, outputs = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
    reference = reference_detections(detector, canvases(), SIZES)
    for image, size, expected in zip(canvases(), SIZES, reference, strict=True):
        arrays = (image[None].numpy(), size[None].numpy())
        feed = dict(zip(names, arrays, strict=True))
        found = dict(zip(outputs, session.run(None, feed), strict=True))
        count = int(found["num_detections"][0])
        rows = {name: found[name][0, :count] for name in ("boxes", "scores", "labels")}
        report = match(expected, rows)
        assert report.matched == report.reference == report.found > 10
        np.testing.assert_allclose(found["masks"][0, :count], expected["masks"][:, 0], atol=1e-3)
        assert found["heatmaps"].shape[1] == found["boxes"].shape[1]
        assert bool(found["converged"][0])
    if form != "full":
        to_fp16(file.path, tmp_path / "half.onnx")
        count, *_ = opened(tmp_path / "half.onnx").run(["num_detections"], feed)
        assert count[0] > 10


def test_a_classifier_has_no_other_form() -> None:
    with pytest.raises(UsageError, match="has no form 'full'"):
        find("resnet18").form("full")


def test_every_suppression_by_the_operator_is_exact() -> None:
    module, _ = find(NAME).form("nms-op")(narrow(), InputSpec(shapes=((3, HEIGHT, WIDTH),)))
    with torch.no_grad():
        found = module(canvases(), SIZES)
    assert found["converged"].tolist() == [True, True]
