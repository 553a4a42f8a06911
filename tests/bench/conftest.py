import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.candidates import Candidate
from bench.comparison import BenchReport, compare_with_first
from bench.results import BenchResult, BenchSettings
from compressor.base.files import file_digest
from compressor.zoo.inputs import InputSpec

INPUTS = InputSpec(shapes=((4, 8, 8),))

MakeCandidate = Callable[[str, int], Candidate]


@pytest.fixture
def candidate(tmp_path: Path) -> MakeCandidate:
    """Return a function that writes an ONNX file with a number of convolutions in a row."""

    def make(name: str, layers: int) -> Candidate:
        path = tmp_path / f"{name}.onnx"
        onnx.save(_convolutions(layers), path)
        return Candidate(name=name, source=path, inputs=INPUTS, digest=file_digest(path))

    return make


@pytest.fixture
def report() -> BenchReport:
    """Return a benchmark of three models with known times."""
    times = {"dense": 10.0, "pruned": 5.0, "twin": 10.0}
    results = [_result(name, ms, index) for index, (name, ms) in enumerate(times.items())]
    return BenchReport(
        results=tuple(results),
        comparisons=compare_with_first(results, seed=0),
        environment={"cpu": "an abacus"},
        notes=("inputs are synthetic",),
    )


def _result(name: str, ms: float, seed: int) -> BenchResult:
    noise = np.random.default_rng(seed).lognormal(sigma=0.05, size=(8, 10))
    settings = BenchSettings(
        backend="onnxruntime",
        device="cpu",
        precision="fp32",
        threads=1,
        batch=4,
        blocks=8,
        runs_per_block=10,
        warmup_runs=10,
        discarded_runs=2,
        gap_ms=30.0,
        budget_s=1.0,
    )
    return BenchResult(
        model=name,
        digest="00",
        settings=settings,
        samples_ms=tuple(tuple(block) for block in (ms * noise).tolist()),
        environment={"cpu": "an abacus"},
        notes=("p99 rests on fewer than 100 calls",),
    )


def _convolutions(layers: int) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.full((4, 4, 3, 3), 0.1, np.float32), "w")
    names = ["input", *(f"h{i}" for i in range(1, layers)), "output"]
    nodes = [
        helper.make_node("Conv", [source, "w"], [target], pads=[1, 1, 1, 1])
        for source, target in itertools.pairwise(names)
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4, 8, 8])
        for name in ("input", "output")
    ]
    graph = helper.make_graph(nodes, "convolutions", ports[:1], ports[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
