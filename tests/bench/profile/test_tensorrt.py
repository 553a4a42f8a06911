"""TensorRT's profiler and inspector, played by the fake; its names are held against the real bindings."""

# ruff: noqa: F811 -- fixtures of another folder are imported, and named by parameters

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bench.candidates import Candidate
from bench.profile.nodes import placed
from bench.profile.origins import graph_of
from bench.profile.runtimes import PROFILERS, Sampling, Timed
from bench.profile.runtimes.tensorrt import TensorRtProfiler
from compressor.base.errors import CompressError
from export.backends import BACKENDS
from export.tensorrt.build import build_engine
from export.tensorrt.load import EngineOptions, load_engine
from export.tensorrt.session import EngineSession
from export.tensorrt.settings import EngineSettings
from tests.export.tensorrt.conftest import HostDevice, fake, gpu  # noqa: F401  # fixtures
from tests.zygote import run

FEED = {"input": np.ones((2, 3, 24, 24), np.float32)}


@pytest.fixture
def profiler(fake: ModuleType, gpu: HostDevice) -> TensorRtProfiler:
    def opened(path: Path) -> EngineSession:
        options = EngineOptions()
        with gpu.active():
            return EngineSession(load_engine(path, gpu, options), gpu, "cuda:0", options)

    def build(source: Path, engine: Path, batch: int) -> None:
        settings = EngineSettings(batches=(1, batch, batch))
        build_engine(source, engine, settings, device=gpu)  # type: ignore[arg-type]

    return TensorRtProfiler(open=opened, build=build)


@pytest.fixture
def engine(profiler: TensorRtProfiler, nets: dict[int, Candidate], tmp_path: Path) -> Path:
    source = nets[16].source
    assert isinstance(source, Path)
    (tmp_path / "net.onnx").write_bytes(source.read_bytes())
    profiler.build(tmp_path / "net.onnx", tmp_path / "net.engine", 2)
    return tmp_path / "net.engine"


def nodes_of(profiler: TensorRtProfiler, engine: Path) -> tuple[Timed, ...]:
    return profiler.nodes(engine, FEED, Sampling(calls=3))


@pytest.mark.parametrize("major", [10, 11])
def test_layers_have_their_modules_channels_and_least_times(
    profiler: TensorRtProfiler,
    engine: Path,
    fake: ModuleType,
    major: int,
) -> None:
    fake.script.major = major
    graph = graph_of(engine)
    assert graph is not None
    nodes = placed(nodes_of(profiler, engine), graph)
    layers = {node.module: (node.in_channels, node.out_channels, node.macs) for node in nodes if node.layer}
    assert layers["body.plain"] == (16, 32, 2 * 24 * 24 * 16 * 32 * 9)
    assert layers["fc"] == (16, 5, 2 * 16 * 5)
    assert {node.precision for node in nodes if node.layer} == {"fp32"}
    assert {node.ms for node in nodes} <= {0.25, 0.5, 1.0}


def test_a_product_that_runs_as_a_convolution_is_the_layer_that_it_is(
    profiler: TensorRtProfiler, engine: Path
) -> None:
    graph = graph_of(engine)
    assert graph is not None
    (fc,) = (one for one in nodes_of(profiler, engine) if one.kind == "Gemm")
    posed = replace(fc, kind="CaskConvolution", inputs=((2, 16, 1, 1),), outputs=((2, 5, 1, 1),))
    (node,) = placed([posed], graph)
    assert (node.module, node.macs) == ("fc", 2 * 16 * 5)


def test_the_smallest_of_all_calls_counts_and_calls_are_told_of(
    profiler: TensorRtProfiler,
    engine: Path,
    fake: ModuleType,
) -> None:
    told: list[int] = []
    layers = len(nodes_of(profiler, engine))
    fake.script.layer_ms = [float(number) for number in range(1, 3 * layers + 1)]
    fake.script.layer_ms = fake.script.layer_ms[:layers]
    timed = profiler.nodes(engine, FEED, Sampling(calls=3, progress=lambda done, total: told.append(done)))
    assert [one.ms for one in timed] == fake.script.layer_ms
    assert told == [1, 2, 3]


def test_an_onnx_file_is_built_first(profiler: TensorRtProfiler, nets: dict[int, Candidate]) -> None:
    source = nets[16].source
    assert isinstance(source, Path)
    assert any(one.kind == "CaskConvolution" for one in nodes_of(profiler, source))


def test_modules_are_known_only_by_the_file_that_the_engine_was_built_from(
    profiler: TensorRtProfiler, engine: Path
) -> None:
    source = engine.with_suffix(".onnx")
    source.write_bytes(source.read_bytes() + b"\n")
    assert graph_of(engine) is None
    source.unlink()
    assert graph_of(engine) is None


@pytest.mark.parametrize("said", ["", "{", "[]", '{"Layers": 3}', '{"Layers": []}'])
def test_an_answer_that_is_none_is_an_error(
    profiler: TensorRtProfiler,
    engine: Path,
    fake: ModuleType,
    said: str,
) -> None:
    fake.script.layer_info = said
    with pytest.raises(CompressError, match="the engine inspector's answer"):
        nodes_of(profiler, engine)


def test_a_strange_answer_leaves_times_without_places(
    profiler: TensorRtProfiler,
    engine: Path,
    fake: ModuleType,
) -> None:
    strange = [
        "a name", {"Name": 7}, {"Name": "x", "Inputs": 3, "Outputs": [{"Dimensions": [True, -1]}, "y"]},
        {"Name": "z", "Metadata": ["[ONNX Layer: a"], "Outputs": [{"Name": "o", "Dimensions": [1, "2"]}]},
    ]  # fmt: skip
    fake.script.layer_info = json.dumps({"Layers": strange})
    timed = nodes_of(profiler, engine)
    assert timed
    assert not any(one.inputs or one.outputs for one in timed)


def test_widths_suit_the_precision() -> None:
    profiler = PROFILERS.get("tensorrt")
    assert [profiler.multiple(precision) for precision in ("fp32", "fp16", "int8")] == [8, 8, 16]
    assert profiler.device == "cuda"


@pytest.mark.skipif(
    BACKENDS.get("tensorrt").missing("cuda") is None, reason="asks where there is no TensorRT"
)
def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "m.engine").write_bytes(b"not opened")
    done = run(("profile", "m.engine", "--backend", "tensorrt"), tmp_path)
    assert done.returncode == 5
    assert "backend 'tensorrt' cannot run on cuda here" in done.stderr
