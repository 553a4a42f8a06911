import math
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from compressor.base.errors import ParityError, UsageError
from compressor.tasks.parity import MIN_CASES, ParityReport, compare, compare_on, relative_difference
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Array, Feed, Session, SessionOptions
from export.backends.pytorch import TorchSession


class Echo:
    """A session that computes what it is told; counts the distinct inputs it sees."""

    device = "cpu"
    input_names = ("input",)
    output_names = ("output",)

    def __init__(self, compute: Callable[[Array], Array], output: str = "output") -> None:
        self.compute = compute
        self.output = output
        self.seen: set[bytes] = set()

    def run(self, feed: Feed) -> dict[str, Array]:
        self.seen.add(feed["input"].tobytes())
        return {self.output: self.compute(feed["input"])}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def same(x: Array) -> Array:
    return x


INPUTS = InputSpec(shapes=((2, 3),))


@pytest.fixture
def exported(tmp_path: Path, tiny_onnx: bytes) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx)
    return path


def compare_file(model: nn.Module, path: Path, inputs: InputSpec) -> ParityReport:
    options = SessionOptions()
    candidate = BACKENDS.get("onnxruntime").open(path, options)
    with TorchSession(model, inputs, options) as reference, candidate:
        return compare(reference, candidate, inputs)


def test_an_export_agrees(exported: Path, tiny_net: Callable[[], nn.Module], image: InputSpec) -> None:
    report = compare_file(tiny_net(), exported, image)
    assert report.max_relative_difference <= report.limit == 1e-4
    assert len(report.cases) == MIN_CASES + 6
    assert {case.batch for case in report.cases} == {1, 2, 8}
    assert report.max_relative_difference == max(case.relative_difference for case in report.cases)


def test_a_tampered_weight_is_found(
    exported: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    graph = onnx.load(exported)
    weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.1
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(graph, exported)
    with pytest.raises(ParityError, match=r"'output' differs by .* the limit is 1e-04") as caught:
        compare_file(tiny_net(), exported, image)
    assert caught.value.exit_code == 4


def test_another_model_is_found(exported: Path, image: InputSpec) -> None:
    other = nn.Sequential(nn.Conv2d(3, 8, 16), nn.Flatten())
    with pytest.raises(ParityError, match="shape of 'output' at batch 1"):
        compare_file(other, exported, image)


def test_every_case_is_another_input_and_seeds_repeat() -> None:
    reference, again, other = Echo(same), Echo(same), Echo(same)
    compare(reference, again, INPUTS, cases=6, batches=(1, 2, 4))
    compare(other, Echo(same), INPUTS, cases=6, batches=(1, 2, 4), seed=1)
    assert len(reference.seen) == 6 + 3 + 3
    assert reference.seen == again.seen
    assert not reference.seen & other.seen


def test_the_worst_case_decides() -> None:
    def slightly_off(x: Array) -> Array:
        return x * np.float32(1 + 1e-3) if len(x) == 8 else x

    with pytest.raises(ParityError, match=r"1\.00e-03 .* at batch 8"):
        compare(Echo(same), Echo(slightly_off), INPUTS)
    report = compare(Echo(same), Echo(slightly_off), INPUTS, limit=1e-2)
    assert report.max_relative_difference == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (Echo(lambda x: x[:1]), "shape of 'output' at batch 2"),
        (Echo(lambda x: x.astype(np.float64)), "type of 'output' at batch 1"),
        (Echo(lambda x: x * np.float32(np.nan)), "candidate computes NaN"),
        (Echo(same, output="logits"), "outputs: expected"),
    ],
)
def test_what_cannot_be_compared_fails(candidate: Session, message: str) -> None:
    with pytest.raises(ParityError, match=message):
        compare(Echo(same), candidate, INPUTS)


def test_a_reference_that_is_not_finite_is_blamed() -> None:
    with pytest.raises(ParityError, match="reference computes NaN"):
        compare(Echo(lambda x: x * np.float32(np.inf)), Echo(same), INPUTS)


@pytest.mark.parametrize("request_", [{"cases": 4}, {"batches": ()}, {"batches": (0,)}, {"limit": math.nan}])
def test_a_comparison_that_proves_nothing_is_refused(request_: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        compare(Echo(same), Echo(same), INPUTS, **request_)


@pytest.mark.parametrize(
    ("expected", "found", "difference"),
    [
        ([2.0, -4.0], [2.0, -4.0], 0.0),
        ([2.0, -4.0], [3.0, -4.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 1e-9], math.inf),
        ([], [], 0.0),
    ],
)
def test_relative_difference(expected: list[float], found: list[float], difference: float) -> None:
    assert relative_difference(np.array(expected), np.array(found)) == difference


def test_given_inputs_are_compared_as_they_are() -> None:
    feeds = [(np.ones((2, 3), dtype=np.float32),), (np.full((4, 3), 2.0, dtype=np.float32),)]
    report = compare_on(Echo(lambda x: x), Echo(lambda x: x * np.float32(1.25)), feeds, limit=0.5)
    assert [case.batch for case in report.cases] == [2, 4]
    assert report.max_relative_difference == pytest.approx(0.25)
    with pytest.raises(ParityError, match="the limit is 1e-01"):
        compare_on(Echo(lambda x: x), Echo(lambda x: x * np.float32(1.25)), feeds, limit=0.1)
