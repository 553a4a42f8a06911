"""Files of detectors with one thing wrong are refused; right ones pass, whatever their weights are."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, KeypointRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from compressor.base.errors import ParityError
from compressor.tasks.parity import ParityReport
from compressor.zoo.inputs import InputSpec
from detection.deployed import deployed
from detection.parity.proof import prove_detections
from detection.parity.rows import canvas_noise
from detection.stages import TAP
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.precision import to_fp16
from export.proof import OpenedFile
from export.taps import tapped_names, write_tapped
from export.to_onnx import export_onnx

CANVAS = InputSpec(shapes=((3, 64, 96),))
KINDS = {"boxes": FasterRCNN, "masks": MaskRCNN, "keypoints": KeypointRCNN}


class Backbone(nn.Module):
    """Two convolutions, one feature map."""

    out_channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 4, 1)
        self.second = nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))))


def detector(kind: str, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    pools = {
        f"{part}_roi_pool": MultiScaleRoIAlign(["0"], size, 2)
        for part, size in (("box", 7), ("mask", 14), ("keypoint", 14))
        if part in ("box", kind.removesuffix("s"))
    }
    anchors = AnchorGenerator(((16, 32),), ((0.5, 1.0),))
    heads: dict[str, nn.Module] = {
        "box_head": TwoMLPHead(8 * 7 * 7, 32), "box_predictor": FastRCNNPredictor(32, 4),
    }  # fmt: skip
    if kind == "masks":
        heads |= {"mask_head": MaskRCNNHeads(8, (8,), 1), "mask_predictor": MaskRCNNPredictor(8, 8, 4)}
    if kind == "keypoints":
        heads |= {
            "keypoint_head": KeypointRCNNHeads(8, (8, 8)), "keypoint_predictor": KeypointRCNNPredictor(8, 5),
        }  # fmt: skip
    model = KINDS[kind](
        Backbone(), num_classes=None, min_size=64, max_size=96, rpn_anchor_generator=anchors,
        rpn_post_nms_top_n_test=30, box_detections_per_img=10, **pools, **heads, **options,
    ).eval()  # fmt: skip
    for name, weight in model.named_parameters():
        if "predictor" in name and name.endswith("weight"):
            weight.data *= 20  # scores that differ
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[nn.Module, InputSpec, Path]]:
    """One right file per kind, with the module that it was made from."""
    folder = tmp_path_factory.mktemp("detectors")
    made = {}
    for kind in KINDS:
        module, inputs = deployed(detector(kind), CANVAS)
        export_onnx(module, inputs, folder / f"{kind}.onnx", metadata={})
        made[kind] = (module, inputs, folder / f"{kind}.onnx")
    return made


Right = tuple[nn.Module, InputSpec, Path]


def prove(right: Right, file: Path, precision: str = "fp32") -> ParityReport:
    module, inputs, _ = right
    options = SessionOptions(threads=1)
    with (
        TorchSession(module, inputs, options) as reference,
        BACKENDS.get("onnxruntime").open(file, options) as candidate,
    ):
        return prove_detections(
            reference,
            OpenedFile(session=candidate, path=file),
            canvas_noise(inputs),
            precision=precision,
            stages=module,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_file_passes(files: dict[str, Right], kind: str) -> None:
    report = prove(files[kind], files[kind][2])
    assert report.detections
    outputs = {case.output for case in report.cases}
    inner = {"features.0", "rpn.logits.0", "rpn.codes.0", "boxes.logits", "boxes.scores", "boxes.codes"}
    assert outputs == inner | {"masks": {"masks", "masks.logits"}, "keypoints": {"heatmaps"}}.get(kind, set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_file_in_half_precision_passes(files: dict[str, Right], kind: str, tmp_path: Path) -> None:
    to_fp16(files[kind][2], tmp_path / "half.onnx")
    assert prove(files[kind], tmp_path / "half.onnx", "fp16").detections


def test_below_the_threshold_there_is_something_to_compare(files: dict[str, Right], tmp_path: Path) -> None:
    module, inputs = deployed(detector("masks", box_score_thresh=0.9999), CANVAS)
    right = changed(files["masks"][2], tmp_path / "m.onnx", threshold(0.05, 0.9999))
    assert prove((module, inputs, right), right).detections
    wrong = changed(right, tmp_path / "wrong.onnx", scaled("masks", 0.0))
    with pytest.raises(ParityError, match="masks differ"):
        prove((module, inputs, right), wrong)


@pytest.mark.parametrize("seed", range(3))
def test_scores_that_are_all_but_equal_do_not_refuse_a_right_file(
    files: dict[str, Right], seed: int, tmp_path: Path
) -> None:
    """Untrained MobileNets hand features of 1e-7 on: rounding alone ranks what they find."""
    model = detector("boxes", seed=seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(1e-5 if "backbone" in name else 0.01)
    module, inputs = deployed(model, CANVAS)
    file = changed(files["boxes"][2], tmp_path / "m.onnx", weights_of(module))
    assert prove((module, inputs, file), file).detections


def test_a_file_shows_its_inner_values_and_returns_none_of_them(files: dict[str, Right]) -> None:
    module, _, path = files["masks"]
    assert tapped_names(path) == set(module.inner())
    assert not [value.name for value in onnx.load(path).graph.output if value.name.startswith(TAP)]


def test_inner_values_do_not_change_what_a_file_returns(files: dict[str, Right], tmp_path: Path) -> None:
    module, inputs, path = files["masks"]
    feed = dict(zip(("input_0", "input_1"), canvas_noise(inputs)[0], strict=True))
    options, copy = SessionOptions(threads=1), write_tapped(path, tmp_path / "t.onnx", module.inner())
    with (
        BACKENDS.get("onnxruntime").open(path, options) as plain,
        BACKENDS.get("onnxruntime").open(copy, options) as tapped,
    ):
        expected, found = plain.run(feed), tapped.run(feed)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)


Change = Callable[[onnx.ModelProto], None]


def changed(source: Path, target: Path, change: Change) -> Path:
    model = onnx.load(source)
    change(model)
    onnx.save(model, target)
    return target


def _constant(model: onnx.ModelProto, name: str, value: object, kind: type = np.float32) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=kind), name))
    return name


def after(output: str, operator: str, *operands: tuple[object, type]) -> Change:
    """Put an operator between the graph and one of its outputs."""

    def change(model: onnx.ModelProto) -> None:
        inner = f"{output}_before"
        for node in model.graph.node:
            node.output[:] = [inner if name == output else name for name in node.output]
            node.input[:] = [inner if name == output else name for name in node.input]
        names = [_constant(model, f"{output}_{i}", v, t) for i, (v, t) in enumerate(operands)]
        model.graph.node.append(helper.make_node(operator, [inner, *names], [output]))

    return change


def before(name: str, operator: str, *operands: object) -> Change:
    """Put an operator between an input and the graph."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = [f"{name}_after" if given == name else given for given in node.input]
        names = [_constant(model, f"{name}_{i}", value) for i, value in enumerate(operands)]
        model.graph.node.insert(0, helper.make_node(operator, [name, *names], [f"{name}_after"]))

    return change


def scaled(output: str, factor: float) -> Change:
    return after(output, "Mul", (factor, np.float32))


def perturbed(factor: float) -> Change:
    def change(model: onnx.ModelProto) -> None:
        weights = {weight.name: weight for weight in model.graph.initializer}
        node = next(node for node in model.graph.node if node.op_type == "Conv")
        values = numpy_helper.to_array(weights[node.input[1]])
        noise = np.random.default_rng(0).standard_normal(values.shape).astype(np.float32)
        new = values + factor * np.abs(values).max() * noise
        weights[node.input[1]].CopyFrom(numpy_helper.from_array(new, node.input[1]))

    return change


def weights_of(module: nn.Module) -> Change:
    """Give a file other weights: it is then what an export of ``module`` would have been."""
    weights = {name: weight.detach().numpy() for name, weight in module.named_parameters()}

    def change(model: onnx.ModelProto) -> None:
        found = [weight for weight in model.graph.initializer if weight.name in weights]
        left = set(weights) - {weight.name for weight in found}
        assert not any(weights[name].any() for name in left), "the exporter leaves out zeros only"
        for weight in found:
            weight.CopyFrom(numpy_helper.from_array(weights[weight.name], weight.name))

    return change


def threshold(old: float, new: float) -> Change:
    def change(model: onnx.ModelProto) -> None:
        hits = 0
        for weight in model.graph.initializer:
            values = numpy_helper.to_array(weight)
            if values.size == 1 and values.dtype == np.float32 and np.isclose(values, old).all():
                weight.CopyFrom(numpy_helper.from_array(np.full_like(values, new), weight.name))
                hits += 1
        assert hits

    return change


def reordered(model: onnx.ModelProto) -> None:
    """Return the second row before the first, with everything that belongs to it."""
    for output in ("boxes", "scores", "labels"):
        after(output, "Gather", ([1, 0, *range(2, 10)], np.int64))(model)
        axis = helper.make_attribute("axis", 1)
        model.graph.node[-1].attribute.append(axis)


def mirrored(model: onnx.ModelProto) -> None:
    """Show the second image of a batch what the first one shows."""
    index = _constant(model, "first", [0], np.int64)
    node = helper.make_node("Gather", ["input_0", index], ["one"], axis=0)
    shape = helper.make_node("Shape", ["input_0"], ["all"])
    spread = helper.make_node("Expand", ["one", "all"], ["same"])
    for other in model.graph.node:
        other.input[:] = ["same" if given == "input_0" else given for given in other.input]
    for position, made in enumerate((node, shape, spread)):
        model.graph.node.insert(position, made)


ANY: dict[str, Change] = {
    "scores scaled": scaled("scores", 1.01),
    "boxes scaled": scaled("boxes", 1.05),
    "boxes moved": after("boxes", "Add", (3.0, np.float32)),
    "another class": after("labels", "Add", (1, np.int64)),
    "one row too many": after("num_detections", "Add", (1, np.int64)),
    "a constant count": after("num_detections", "Mul", (0, np.int64)),
    "nothing found": scaled("scores", 0.0),
    "no numbers": after("boxes", "Div", (0.0, np.float32)),
    "rows in another order": reordered,
    "exact where it is not": after("converged", "Not"),
    "input clipped": before("input_0", "Clip", 0.0, 0.3),
    "input halved": before("input_0", "Mul", 0.5),
    "sizes ignored": before("input_1", "Mul", 0.25),
    "another batch item": mirrored,
    "a convolution perturbed": perturbed(0.001),
    "another threshold of suppression": threshold(0.5, 0.05),
    "another score threshold": threshold(0.05, 0.6),
}
MORE: dict[str, tuple[str, Change]] = {
    "masks zeroed": ("masks", scaled("masks", 0.0)),
    "masks scaled": ("masks", scaled("masks", 1.02)),
    "masks without numbers": ("masks", after("masks", "Div", (0.0, np.float32))),
    "masks inverted": ("masks", after("masks", "Neg")),
    "heat maps without numbers": ("keypoints", after("heatmaps", "Sqrt")),
    "heat maps zeroed": ("keypoints", scaled("heatmaps", 0.0)),
    "heat maps shifted": ("keypoints", after("heatmaps", "Add", (1.0, np.float32))),
}
_ALWAYS = (
    "another class", "one row too many", "a constant count", "nothing found", "no numbers",
    "masks zeroed", "masks without numbers", "masks inverted", "heat maps without numbers",
    "heat maps zeroed",
)  # fmt: skip
"""What no precision excuses; in int8, boxes may lie as far as half of their overlap away."""
CASES = [("boxes", name, change) for name, change in ANY.items()] + [
    (kind, name, change) for name, (kind, change) in MORE.items()
]


def wrong(cases: Sequence[tuple[str, str, Change]]) -> list[object]:
    return [pytest.param(kind, change, id=name) for kind, name, change in cases]


@pytest.mark.parametrize(("kind", "change"), wrong(CASES))
def test_a_wrong_file_is_refused(files: dict[str, Right], kind: str, change: Change, tmp_path: Path) -> None:
    with pytest.raises(ParityError) as caught:
        prove(files[kind], changed(files[kind][2], tmp_path / "wrong.onnx", change))
    assert caught.value.exit_code == 4
    assert caught.value.hint


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize(("kind", "change"), wrong([case for case in CASES if case[1] in _ALWAYS]))
def test_no_precision_excuses_it(
    files: dict[str, Right], kind: str, change: Change, precision: str, tmp_path: Path
) -> None:
    with pytest.raises(ParityError):
        prove(files[kind], changed(files[kind][2], tmp_path / "wrong.onnx", change), precision)


def test_ports_are_as_the_changes_expect(files: dict[str, Right]) -> None:
    graph = onnx.load(files["masks"][2]).graph
    assert [value.name for value in graph.input] == ["input_0", "input_1"]
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    assert kinds["masks"] == kinds["boxes"] == TensorProto.FLOAT
    assert kinds["labels"] == kinds["num_detections"] == TensorProto.INT64
