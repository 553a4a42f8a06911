"""Files of classifiers with one thing wrong are refused; right ones pass in every precision."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from compressor.base.errors import ParityError, UsageError
from compressor.tasks.classification import CLASSIFICATION
from compressor.tasks.opened import Pair, Precision
from compressor.tasks.parity import ParityReport
from compressor.zoo import find
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.precision import to_fp16
from export.precision.int8 import to_int8
from export.to_onnx import export_onnx

ARCH = find("resnet20_cifar")
Change = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return ARCH.build()


@pytest.fixture(scope="module")
def files(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> dict[Precision, Path]:
    """A right file in every precision."""
    folder = tmp_path_factory.mktemp("files")
    found: dict[Precision, Path] = {p: folder / f"{p}.onnx" for p in ("fp32", "fp16", "int8")}
    export_onnx(model, ARCH.input, found["fp32"], metadata={})
    to_fp16(found["fp32"], found["fp16"])
    to_int8(found["fp32"], found["int8"], images())
    return found


def images() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal((8, 3, 32, 32), dtype=np.float32) for _ in range(4)]


def prove(model: nn.Module, file: Path, precision: Precision) -> ParityReport:
    options = SessionOptions(threads=1)
    with (
        TorchSession(model, ARCH.input, options) as reference,
        BACKENDS.get("onnxruntime").open(file, options) as candidate,
    ):
        pair = Pair(inputs=ARCH.input, precision=precision, batches=(1, 2, 8), exported=model)
        feeds = [(batch,) for batch in images()] if precision == "int8" else None
        return CLASSIFICATION.serving.compare(reference, candidate, pair, feeds)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_right_file_passes(model: nn.Module, files: dict[Precision, Path], precision: Precision) -> None:
    assert {case.batch for case in prove(model, files[precision], precision).cases} == {1, 2, 8}


def _add(model: onnx.ModelProto, name: str, value: object, kind: type = np.float32) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=kind), name))
    return name


def after(*nodes: tuple[str, list[str], dict[str, object]], **constants: object) -> Change:
    """Put nodes between the graph, whose output is then ``x``, and its output, the last node's."""

    def change(model: onnx.ModelProto) -> None:
        (output,) = (value.name for value in model.graph.output)
        for node in model.graph.node:
            node.output[:] = ["x" if name == output else name for name in node.output]
        for name, value in constants.items():
            _add(model, name, value, np.int64 if isinstance(value, list) else np.float32)
        for number, (operator, inputs, attributes) in enumerate(nodes, start=1):
            made = output if number == len(nodes) else f"y{number}"
            model.graph.node.append(helper.make_node(operator, inputs, [made], **attributes))

    return change


def before(operator: str, **constants: float) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = ["changed" if name == "input" else name for name in node.input]
        names = [_add(model, name, value) for name, value in constants.items()]
        model.graph.node.insert(0, helper.make_node(operator, ["input", *names], ["changed"]))

    return change


def beyond(batch: int, value: float) -> Change:
    """Multiply the output by ``value`` where there are more samples than ``batch``."""
    return after(
        ("Shape", ["x"], {"start": 0, "end": 1}),
        ("Greater", ["y1", "most"], {}),
        ("Where", ["y2", "factor", "one"], {}),
        ("Mul", ["x", "y3"], {}),
        most=[batch],
        factor=value,
        one=1.0,
    )


def mean_logits(model: onnx.ModelProto) -> None:
    torch.manual_seed(0)
    net = ARCH.build()
    with torch.no_grad():
        mean = net(torch.from_numpy(np.concatenate(images()))).mean(dim=0).numpy()
    after(("Mul", ["x", "zero"], {}), ("Add", ["y1", "means"], {}), zero=0.0)(model)
    _add(model, "means", mean)


def perturbed(model: onnx.ModelProto) -> None:
    weights = {weight.name: weight for weight in model.graph.initializer}
    node = [node for node in model.graph.node if node.op_type == "Conv"][3]
    values = numpy_helper.to_array(weights[node.input[1]])
    noise = 0.01 * np.abs(values).max() * np.random.default_rng(0).standard_normal(values.shape)
    weights[node.input[1]].CopyFrom(
        numpy_helper.from_array((values + noise).astype(np.float32), node.input[1])
    )


ALWAYS: dict[str, Change] = {
    "zeros": after(("Mul", ["x", "c"], {}), c=0.0),
    "zeros above batch 3": beyond(3, 0.0),
    "no numbers above batch 7": beyond(7, float("nan")),
    "mean logits": mean_logits,
    "shifted classes": after(("Gather", ["x", "i"], {"axis": 1}), i=[*range(1, 10), 0]),
    "reversed classes": after(("Gather", ["x", "i"], {"axis": 1}), i=[*range(9, -1, -1)]),
    "averaged rows": after(
        ("ReduceMean", ["x", "axis"], {}), ("Mul", ["x", "zero"], {}), ("Add", ["y1", "y2"], {}),
        axis=[0], zero=0.0,
    ),
    "inverted": after(("Neg", ["x"], {})),
    "twice as large": after(("Mul", ["x", "c"], {}), c=2.0),
    "softmax": after(("Softmax", ["x"], {"axis": 1})),
    "positive inputs only": before("Clip", low=0.0, high=10.0),
    "no numbers": after(("Div", ["x", "c"], {}), c=0.0),
}  # fmt: skip
EXACT: dict[str, Change] = {
    "two classes swapped": after(("Gather", ["x", "i"], {"axis": 1}), i=[1, 0, *range(2, 10)]),
    "1 % larger": after(("Mul", ["x", "c"], {}), c=1.01),
    "clipped inputs": before("Clip", low=-1.5, high=1.5),
    "a convolution perturbed": perturbed,
    "a bias": after(("Add", ["x", "c"], {}), c=0.05),
}
"""Within what eight bits may do, and some within half precision's."""


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", ALWAYS)
def test_a_wrong_file_is_refused(
    model: nn.Module, files: dict[Precision, Path], name: str, precision: Precision, tmp_path: Path
) -> None:
    graph = onnx.load(files[precision])
    ALWAYS[name](graph)
    onnx.save(graph, tmp_path / "wrong.onnx")
    with pytest.raises(ParityError) as caught:
        prove(model, tmp_path / "wrong.onnx", precision)
    assert caught.value.hint


@pytest.mark.parametrize("name", EXACT)
def test_small_faults_are_found_in_single_precision(
    model: nn.Module, files: dict[Precision, Path], name: str, tmp_path: Path
) -> None:
    graph = onnx.load(files["fp32"])
    EXACT[name](graph)
    onnx.save(graph, tmp_path / "wrong.onnx")
    with pytest.raises(ParityError):
        prove(model, tmp_path / "wrong.onnx", "fp32")


def test_too_few_images_prove_nothing(model: nn.Module, files: dict[Precision, Path]) -> None:
    options = SessionOptions(threads=1)
    pair = Pair(inputs=ARCH.input, precision="int8", batches=(1, 2, 8), exported=model)
    with (
        TorchSession(model, ARCH.input, options) as reference,
        BACKENDS.get("onnxruntime").open(files["int8"], options) as candidate,
    ):
        compared = CLASSIFICATION.serving.compare
        with pytest.raises(UsageError, match="1 images are too few"):
            compared(reference, candidate, pair, [(images()[0][:1],)])
