from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from compressor.base.errors import UsageError
from compressor.tasks.parity import relative_difference
from export.backends import Array
from export.metadata import read_exported
from export.precision import precision_report, to_fp16

Export = Callable[[str], Path]
Run = Callable[[Path, Array], Array]

MODELS = ("resnet20_cifar", "resnet18", "mobilenet_v2", "densenet121")
HALF, FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_computes_in_half_and_outputs_stay_close(
    name: str, exported: Export, noise: Array, output: Run, tmp_path: Path
) -> None:
    source, target = exported(name), tmp_path / "half.onnx"
    report = to_fp16(source, target)
    layers = sum(n.op_type in ("Conv", "Gemm") for n in onnx.load(source).graph.node)
    assert (report.nodes, report.converted, report.kept_float, report.share) == (layers, layers, (), 1.0)
    assert relative_difference(output(source, noise), output(target, noise)) < 5e-3
    weights = {i.name: i.data_type for i in onnx.load(target).graph.initializer}
    before = {i.name: i.data_type for i in onnx.load(source).graph.initializer}
    assert set(weights) <= set(before)
    floats = {n for n in weights if before[n] == onnx.TensorProto.FLOAT}
    assert {weights[n] for n in floats} == {onnx.TensorProto.FLOAT16}
    assert target.stat().st_size < 0.53 * source.stat().st_size


def test_arithmetic_in_real_half_precision_stays_close(
    exported: Export, noise: Array, tmp_path: Path
) -> None:
    """ONNX Runtime on CPUs computes these files in fp32; the reference evaluator rounds every result."""
    source, target = exported("resnet20_cifar"), tmp_path / "half.onnx"
    to_fp16(source, target)
    expected, found = (
        ReferenceEvaluator(str(p)).run(None, {"input": noise[:1]})[0] for p in (source, target)
    )
    assert found.dtype == np.float32
    assert 0 < relative_difference(expected, found) < 5e-3


def test_properties_of_the_file_and_names_of_nodes_survive(exported: Export, tmp_path: Path) -> None:
    source, target = exported("resnet20_cifar"), tmp_path / "half.onnx"
    to_fp16(source, target)
    assert read_exported(target).properties == {
        **read_exported(source).properties,
        "compress.precision": "fp16",
    }
    before, after = ({n.name: n for n in onnx.load(p).graph.node} for p in (source, target))
    assert [n for n in after if n in before] == list(before)
    assert all(after[n].metadata_props == before[n].metadata_props for n in before)


DETECTOR = """
detector (float[1,4,8,8] image, float[1] size) => (float[n,2] scores, float[m,4] boxes) {
  mean = Constant<value = float[1] {0.5}>()
  centred = Sub(image, mean)
  deep = Conv(centred, w1)
  active = Relu(deep)
  features = Conv(active, w2)
  flat = Reshape(features, rows)
  decoded = Mul(flat, size)
  moved = Add(decoded, decoded)
  k = Constant<value = int64[1] {3}>()
  axis = Constant<value = int64[1] {1}>()
  best = ReduceMax<keepdims = 0>(moved, axis)
  values, order = TopK(best, k)
  boxes = Gather(moved, order)
  image_of = Constant<value = int64[3] {0, 0, 0}>()
  regions = RoiAlign<output_height = 1, output_width = 1>(features, boxes, image_of)
  pooled = Flatten(regions)
  hidden = Gemm(pooled, w3)
  squashed = Relu(hidden)
  logits = Gemm(squashed, w4)
  scores = Sigmoid(logits)
}
"""


def test_a_detector_keeps_decoding_ranking_and_coordinates_in_single_precision(
    parsed, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    shapes = {"w1": (4, 4, 1, 1), "w2": (4, 4, 1, 1), "w3": (4, 5), "w4": (5, 2)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    source = parsed(DETECTOR, **weights, rows=np.array([-1, 4]))
    report = to_fp16(source, tmp_path / "half.onnx")
    assert (report.nodes, report.converted) == (4, 4)
    graph = ir.load(tmp_path / "half.onnx").graph
    nodes = [n for n in graph if n.op_type != "Cast"]
    half = {n.op_type for n in nodes if n.outputs[0].dtype == HALF}
    assert half == {"Conv", "Relu", "Gemm"}
    rest = {n.op_type for n in nodes if n.outputs[0].dtype == FLOAT}
    assert rest == {
        "Sub",
        "Reshape",
        "Mul",
        "Add",
        "ReduceMax",
        "TopK",
        "Gather",
        "RoiAlign",
        "Flatten",
        "Sigmoid",
    }
    assert {v.name: v.dtype for v in (*graph.inputs, *graph.outputs)} == dict.fromkeys(
        ("image", "size", "scores", "boxes"), FLOAT
    )


def test_a_weight_beyond_the_range_stays_in_single_precision(parsed, output: Run, tmp_path: Path) -> None:
    text = "g (float[1,2,1,1] x) => (float[1,2,1,1] y) { a = Conv(x, big)  b = Conv(a, w)  y = Conv(b, w) }"
    eye = np.eye(2, dtype=np.float32)[:, :, None, None]
    source = parsed(text, big=eye * 70000, w=eye * 0.5)
    report = to_fp16(source, tmp_path / "half.onnx")
    assert (report.nodes, report.converted) == (3, 2)
    ones = np.full((1, 2, 1, 1), 0.5, np.float32)
    assert np.allclose(output(tmp_path / "half.onnx", ones), 0.125 * 70000, rtol=1e-3)


def test_a_value_that_branches_read_from_outside_is_widened(parsed, output: Run, tmp_path: Path) -> None:
    text = """
    g (float[1,2,1,1] x) => (float[1,2,1,1] y, bool yes) {
      a = Conv(x, w)
      b = Conv(a, w)
      yes = Constant<value = bool {1}>()
      y = If(yes) <
        then_branch = t () => (float[1,2,1,1] p) { p = Mul(a, bias) },
        else_branch = e () => (float[1,2,1,1] q) { q = Add(b, bias) }
      >
    }
    """
    source = parsed(text, w=np.eye(2, dtype=np.float32)[:, :, None, None], bias=np.float32(3).reshape(1))
    to_fp16(source, tmp_path / "half.onnx")
    ones = np.ones((1, 2, 1, 1), np.float32)
    assert np.array_equal(output(tmp_path / "half.onnx", ones), 3 * ones)


def test_a_weight_with_readers_on_both_sides_is_kept_once_per_type(
    parsed, output: Run, tmp_path: Path
) -> None:
    text = """
    g (float[1,2] x) => (float[1,2] y) {
      shifted = Add(x, b)
      a = Gemm(shifted, w, b)
      c = Gemm(a, w, b)
      y = Add(c, b)
    }
    """
    source = parsed(text, w=np.eye(2, dtype=np.float32), b=np.array([1, 2], np.float32))
    to_fp16(source, tmp_path / "half.onnx")
    kinds = sorted((i.name, i.data_type) for i in onnx.load(tmp_path / "half.onnx").graph.initializer)
    assert kinds == [("b", 1), ("b.fp16", 10), ("w", 10)]
    assert np.array_equal(output(tmp_path / "half.onnx", np.zeros((1, 2), np.float32)), [[4, 8]])


def test_modules_can_stay_in_single_precision(exported: Export, tmp_path: Path) -> None:
    report = to_fp16(exported("resnet20_cifar"), tmp_path / "half.onnx", keep=("layer3.*", "fc"))
    assert report.kept_float == (*(f"layer3.{b}.conv{c}" for b in range(3) for c in (1, 2)), "fc")
    assert precision_report(tmp_path / "half.onnx", "fp16") == report


def test_a_pattern_that_fits_nothing_is_refused(exported: Export, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no layer is called 'head'"):
        to_fp16(exported("resnet20_cifar"), tmp_path / "half.onnx", keep=("head",))
    assert list(tmp_path.iterdir()) == []


def test_taken_names_and_unreadable_files_are_refused(exported: Export, tmp_path: Path) -> None:
    taken = tmp_path / "taken.onnx"
    taken.write_text("not a model, whatever its name")
    with pytest.raises(UsageError, match=r"taken.onnx exists"):
        to_fp16(exported("resnet20_cifar"), taken)
    with pytest.raises(UsageError, match="not a readable ONNX file"):
        to_fp16(taken, tmp_path / "half.onnx")
    with pytest.raises(UsageError, match="does not exist"):
        to_fp16(exported("resnet20_cifar"), tmp_path / "nowhere" / "half.onnx")
