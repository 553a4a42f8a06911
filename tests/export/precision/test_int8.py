from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from compressor.artifact.weights import load_weights
from compressor.base.errors import UsageError
from compressor.tasks.parity import relative_difference
from compressor.zoo import find
from export.backends import Array
from export.metadata import read_exported
from export.precision import Int8Settings, int8, precision_report, to_int8
from export.to_onnx import export_onnx

Export = Callable[[str], Path]
Run = Callable[[Path, Array], Array]

MODELS = ("resnet20_cifar", "mobilenet_v2", "densenet40_cifar")
ENDS = {
    "resnet20_cifar": ("conv1", "fc"),
    "mobilenet_v2": ("features.0.0", "classifier.1"),
    "densenet40_cifar": ("conv1", "fc"),
}


@pytest.mark.parametrize("runtime", ["cpu", "tensorrt"])
@pytest.mark.parametrize("name", MODELS)
def test_all_layers_but_the_ends_compute_in_integers(
    name: str, runtime: str, exported: Export, noise: Array, output: Run, tmp_path: Path
) -> None:
    source, target = exported(name), tmp_path / "int8.onnx"
    report = to_int8(source, target, [noise], Int8Settings(runtime=runtime))
    layers = sum(n.op_type in ("Conv", "Gemm") for n in onnx.load(source).graph.node)
    assert (report.nodes, report.converted, report.kept_float) == (layers, layers - 2, ENDS[name])
    assert 0 < relative_difference(output(source, noise), output(target, noise)) < 1
    assert read_exported(target).properties == {
        **read_exported(source).properties,
        "compress.precision": "int8",
    }


def test_onnxruntime_runs_the_file_for_cpus_in_integers(
    exported: Export, noise: Array, tmp_path: Path
) -> None:
    target = tmp_path / "int8.onnx"
    report = to_int8(exported("resnet18"), target, [noise])
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    settings.log_severity_level = 3
    onnxruntime.InferenceSession(str(target), settings, providers=["CPUExecutionProvider"])
    kinds = [n.op_type for n in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("QLinearConv") == report.converted
    assert (kinds.count("QLinearAdd"), kinds.count("Add")) == (8, 0)
    assert target.stat().st_size < 0.3 * exported("resnet18").stat().st_size


def test_the_file_for_tensorrt_obeys_its_rules(exported: Export, noise: Array, tmp_path: Path) -> None:
    target = tmp_path / "int8.onnx"
    to_int8(exported("resnet18"), target, [noise], Int8Settings(runtime="tensorrt"))
    graph = onnx.load(target).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    pairs = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        assert not constants[node.input[2]].any()
        assert constants[node.input[2]].dtype == np.int8
        assert (constants[node.input[1]] > 0).all()
    convolutions = [n for n in graph.node if n.op_type == "Conv" and len(n.input) == 3]
    assert all(constants[n.input[2]].dtype == np.float32 for n in convolutions)
    additions = [n for n in graph.node if n.op_type == "Add"]
    assert len(additions) == 8
    assert all(made_by[i].op_type == "DequantizeLinear" for n in additions for i in n.input)
    # A pair between a convolution and its activation would keep the two from fusing.
    between = [n.input[0] for n in graph.node if n.op_type == "Relu" and n.input[0] in made_by]
    assert {made_by[value].op_type for value in between} == {"Conv", "Add"}


@pytest.mark.parametrize(("cut_off", "levels"), [(False, 127), (True, 64)])
def test_weights_have_one_scale_per_output_channel(
    exported: Export,
    noise: Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut_off: bool,
    levels: int,
) -> None:
    monkeypatch.setattr(int8, "saturates", lambda: cut_off)
    source, target = exported("resnet20_cifar"), tmp_path / "int8.onnx"
    to_int8(source, target, [noise])
    weight = next(numpy_helper.to_array(i) for i in onnx.load(source).graph.initializer
                  if i.name == "layer1.0.conv1.weight")  # fmt: skip
    constants = {i.name: numpy_helper.to_array(i) for i in onnx.load(target).graph.initializer}
    scale = constants["layer1.0.conv1.weight_scale"]
    assert np.allclose(scale, np.abs(weight).max(axis=(1, 2, 3)) / levels, rtol=1e-3)
    stored = constants["layer1.0.conv1.weight_quantized"]
    assert np.abs(stored * scale[:, None, None, None] - weight).max() <= scale.max() / 2 + 1e-6


CHAIN = "g (float[n,1,4,4] x) => (float[n,1,4,4] y) { a = Conv(x, w)  b = Conv(a, w)  y = Conv(b, w) }"


def scale_of_first_input(source: Path, target: Path, batches: list[Array], **settings: object) -> float:
    to_int8(source, target, batches, Int8Settings(keep_ends=False, **settings))
    constants = {i.name: numpy_helper.to_array(i) for i in onnx.load(target).graph.initializer}
    target.unlink()
    return float(constants["x_scale"])


@pytest.fixture
def chain(parsed) -> Path:
    return parsed(CHAIN, w=np.ones((1, 1, 1, 1), np.float32))


def test_minmax_takes_the_extremes_over_batches_of_any_size(chain: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.uniform(-1, 1, size=(n, 1, 4, 4)).astype(np.float32) for n in (5, 2, 1)]
    batches[1][0, 0, 0, 0], batches[2][0, 0, 3, 3] = -2, 3
    symmetric = scale_of_first_input(chain, tmp_path / "q.onnx", batches, runtime="tensorrt")
    unsigned = scale_of_first_input(chain, tmp_path / "q.onnx", batches, runtime="cpu")
    assert symmetric == pytest.approx(3 * 2 / 254, rel=0.01)  # -3..3 over the codes -127..127
    assert unsigned == pytest.approx((3 + 2) / 255, rel=0.01)  # -2..3 over the codes 0..255


def test_percentile_and_entropy_cut_an_outlier_off(chain: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, size=(256, 1, 4, 4)).astype(np.float32)
    images[0, 0, 0, 0] = 4
    batches = [images[:128], images[128:]]
    scales = {
        method: scale_of_first_input(chain, tmp_path / "q.onnx", batches, method=method, percentile=99.9)
        for method in ("minmax", "percentile", "entropy")
    }
    assert scales["minmax"] == pytest.approx(5 / 255, rel=0.01)
    assert scales["percentile"] == pytest.approx(2 / 255, rel=0.02)
    assert 2 / 255 < scales["entropy"] < 3 / 255


def test_published_weights_keep_their_accuracy(shared: Path, cifar, output: Run, tmp_path: Path) -> None:
    training, images, labels = cifar
    arch = find("resnet20_cifar")
    model = arch.build()
    load_weights(model, shared / "data" / "weights" / "resnet20-12fca82f.th", arch)
    source = export_onnx(model, arch.input, tmp_path / "fp32.onnx", metadata={}).path
    expected = output(source, images).argmax(axis=1)
    to_int8(source, tmp_path / "int8.onnx", [training[i : i + 50] for i in range(0, 200, 50)])
    found = output(tmp_path / "int8.onnx", images).argmax(axis=1)
    assert 89.2 <= 100 * np.mean(expected == labels) <= 94.2  # 91.73 on the whole test set, two deviations
    assert abs(np.mean(found == labels) - np.mean(expected == labels)) <= 0.01
    assert np.mean(found == expected) >= 0.98


def test_ends_can_be_quantised_and_modules_kept(exported: Export, noise: Array, tmp_path: Path) -> None:
    source = exported("resnet20_cifar")
    every = to_int8(source, tmp_path / "all.onnx", [noise], Int8Settings(keep_ends=False))
    assert (every.share, every.kept_float) == (1.0, ())
    some = to_int8(source, tmp_path / "some.onnx", [noise], Int8Settings(keep=("layer1.*",)))
    kept = ("conv1", *(f"layer1.{b}.conv{c}" for b in range(3) for c in (1, 2)), "fc")
    assert some.kept_float == kept
    assert precision_report(tmp_path / "some.onnx", "int8") == some


REFUSED = [
    ({}, [], "no image to calibrate"),
    ({}, [np.zeros((2, 4, 32, 32), np.float32)], r"refuses calibration arrays of shape \(2, 4, 32, 32\)"),
    ({}, [(np.zeros((2, 3, 32, 32), np.float32),) * 2], "takes input, but a calibration batch has 2 arrays"),
    ({"method": "guess"}, [np.zeros((2, 3, 32, 32), np.float32)], "unknown calibration method 'guess'"),
    ({"percentile": 0.0}, [np.zeros((2, 3, 32, 32), np.float32)], "percentile is 0"),
    ({"keep": ("*",)}, [np.zeros((2, 3, 32, 32), np.float32)], "all of them stay float"),
]


@pytest.mark.parametrize(("settings", "batches", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    settings: dict[str, object], batches: list[Array], message: str, exported: Export, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        to_int8(exported("resnet20_cifar"), tmp_path / "int8.onnx", batches, Int8Settings(**settings))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'toaster'"):
        Int8Settings(runtime="toaster")
