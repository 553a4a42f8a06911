"""Opening and running engines, with the fake in the place of TensorRT and host memory in that of the GPU."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from compressor.base.documents import encode
from compressor.base.errors import ArtifactError, BackendMissingError, CompressError, UsageError
from compressor.tasks.parity import compare
from compressor.zoo.inputs import InputSpec
from export.backends import SessionOptions
from export.backends.pytorch import TorchSession
from export.metadata import read_input
from export.tensorrt.build import build_engine
from export.tensorrt.load import EngineOptions, load_engine
from export.tensorrt.session import MOST_SHAPES, EngineSession
from export.tensorrt.settings import EngineSettings
from export.tensorrt.sidecar import sidecar_path


@pytest.fixture
def engine(fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path) -> Path:
    return build_engine(onnx_file, tmp_path / "m.engine", EngineSettings(batches=(1, 2, 32)), device=gpu).path


def opened(path: Path, gpu, options: EngineOptions | None = None) -> EngineSession:
    options = options or EngineOptions()
    with gpu.active():
        return EngineSession(load_engine(path, gpu, options), gpu, "cuda:0", options)


def image(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).random((batch, 3, 16, 16), np.float32)


def test_outputs_are_those_of_the_module(
    engine: Path, gpu, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    with TorchSession(tiny_net(), image, SessionOptions()) as reference, opened(engine, gpu) as candidate:
        assert candidate.device == "cuda:0"
        assert candidate.input_names == ("input",)
        assert candidate.output_names == ("output",)
        assert compare(reference, candidate, image).max_relative_difference < 1e-5


def test_one_graph_is_recorded_per_batch_and_replayed(engine: Path, fake: ModuleType, gpu) -> None:
    with opened(engine, gpu) as session:
        for batch in (1, 3, 1, 3, 1):
            session.run({"input": image(batch)})
    assert (gpu.recorded, gpu.replayed) == (2, 5)
    assert fake.script.calls.count(("execute_async_v3",)) == 2 + 5  # each graph is preceded by one plain run


def test_without_graphs_layers_are_enqueued(engine: Path, gpu) -> None:
    with opened(engine, gpu, EngineOptions(cuda_graphs=False)) as session:
        once = session.run({"input": image(2)})["output"]
    assert gpu.recorded == 0
    with opened(engine, gpu) as session:
        np.testing.assert_array_equal(session.run({"input": image(2)})["output"], once)


def test_an_engine_that_cannot_be_recorded_says_what_to_do(engine: Path, gpu) -> None:
    gpu.recordable = False
    with opened(engine, gpu) as session, pytest.raises(CompressError, match="CUDA graph") as caught:
        session.run({"input": image(1)})
    assert "cuda_graphs=False" in caught.value.hint


def test_buffers_of_many_shapes_do_not_pile_up(engine: Path, gpu) -> None:
    with opened(engine, gpu) as session:
        for batch in range(1, MOST_SHAPES + 2):
            session.run({"input": image(batch)})
        assert len(session._prepared) == MOST_SHAPES
        session.run({"input": image(1)})
    assert gpu.recorded == MOST_SHAPES + 2  # the first was dropped for the last, and made again


def test_later_runs_leave_earlier_outputs_alone(engine: Path, gpu) -> None:
    with opened(engine, gpu) as session:
        first = session.run({"input": image(2)})["output"]
        copy = first.copy()
        session.run({"input": np.zeros((2, 3, 16, 16), np.float32)})
    np.testing.assert_array_equal(first, copy)


def test_a_closed_session_says_so(engine: Path, gpu) -> None:
    with opened(engine, gpu) as session:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        session.run({"input": image(1)})


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({"image": image(1)}, "takes input, but was fed image"),
        ({"input": image(33)}, r"float32 \(33, 3, 16, 16\), the engine takes float32 \(1, .*\) to \(32, "),
        ({"input": image(1)[:, :2]}, "refuses its input"),
        ({"input": image(1)[0]}, "refuses its input"),
        ({"input": image(1).astype(np.float64)}, "is float64"),
    ],
)
def test_wrong_names_shapes_and_types_are_usage_errors(engine: Path, gpu, feed: dict, message: str) -> None:
    with opened(engine, gpu) as session, pytest.raises(UsageError, match=message):
        session.run(feed)


@pytest.mark.parametrize(
    "call",
    [
        "create_execution_context",
        "set_optimization_profile_async",
        "set_input_shape",
        "set_tensor_address",
        "execute_async_v3",
    ],
)
def test_no_refusal_goes_unnoticed(engine: Path, fake: ModuleType, gpu, call: str) -> None:
    with opened(engine, gpu) as session:
        fake.script.refused = {call}
        fake.script.messages = ["Cuda Runtime (out of memory)"]
        with pytest.raises(CompressError, match=rf"{call}.* failed: Cuda Runtime \(out of memory\)"):
            session.run({"input": image(1)})


def test_an_output_of_unknown_size_is_refused(fake: ModuleType, gpu, tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, [2, "found"])
    graph = helper.make_graph([helper.make_node("NonZero", ["x"], ["y"])], "g", [x], [y])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    engine = build_engine(path, tmp_path / "m.engine", EngineSettings(), device=gpu).path
    with opened(engine, gpu) as session, pytest.raises(CompressError, match=r"\(2, -1\), depends on values"):
        session.run({"x": np.ones((1, 4), np.float32)})


def test_a_type_that_numpy_lacks_is_refused(fake: ModuleType, gpu, tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, ["batch", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    gpu.facts = replace(gpu.facts, name="NVIDIA L4", compute_capability="8.9")
    fake.onnxruntime = type("NoKernels", (), {"InferenceSession": lambda *_, **__: None})
    with pytest.raises(CompressError, match="x has a type that numpy does not have"):
        build_engine(path, tmp_path / "m.engine", EngineSettings(), device=gpu)


def test_a_changed_engine_is_refused_before_it_is_opened(engine: Path, fake: ModuleType, gpu) -> None:
    content = bytearray(engine.read_bytes())
    content[-1] ^= 1
    engine.write_bytes(content)
    fake.script.calls.clear()
    with pytest.raises(ArtifactError, match="sha256 should be"):
        opened(engine, gpu)
    assert ("deserialize_cuda_engine",) not in fake.script.calls


def test_an_engine_of_another_tensorrt_is_refused(
    engine: Path, fake: ModuleType, gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "__version__", "10.13.3.9")
    with pytest.raises(ArtifactError, match=r"TensorRT should be 10\.16\.1\.11 and is 10\.13\.3\.9"):
        opened(engine, gpu)


def test_an_engine_of_another_gpu_is_refused(engine: Path, gpu) -> None:
    gpu.facts = replace(gpu.facts, name="NVIDIA L4", compute_capability="8.9")
    with pytest.raises(ArtifactError, match=r"capability should be 7\.5 and is 8\.9: .*Tesla T4.*NVIDIA L4"):
        opened(engine, gpu)


def test_an_engine_without_a_sidecar_needs_trust(engine: Path, fake: ModuleType, gpu) -> None:
    sidecar_path(engine).unlink()
    fake.script.calls.clear()
    with pytest.raises(ArtifactError, match="native code"):
        opened(engine, gpu)
    assert ("deserialize_cuda_engine",) not in fake.script.calls
    with opened(engine, gpu, EngineOptions(trust_foreign=True)) as session:
        assert session.run({"input": image(1)})["output"].shape == (1, 5)


def test_trust_does_not_overrule_a_sidecar(engine: Path, gpu) -> None:
    engine.write_bytes(engine.read_bytes() + b" ")
    with pytest.raises(ArtifactError, match="sha256"):
        opened(engine, gpu, EngineOptions(trust_foreign=True))


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 2}', '{"schema_version": 1}', "[1]"])
def test_a_damaged_sidecar_is_refused(engine: Path, gpu, text: str) -> None:
    sidecar_path(engine).write_text(text)
    with pytest.raises(ArtifactError, match=r"m\.engine\.json"):
        opened(engine, gpu)


def test_an_engine_that_tensorrt_refuses_gives_its_reason(engine: Path, fake: ModuleType, gpu) -> None:
    fake.script.refused = {"deserialize_cuda_engine"}
    fake.script.messages = ["serialization assertion stdVersionRead failed"]
    with pytest.raises(CompressError, match="stdVersionRead"):
        opened(engine, gpu)
    fake.script.usable = False
    with pytest.raises(BackendMissingError, match="does not start"):
        opened(engine, gpu)


def test_a_missing_engine_is_named(fake: ModuleType, gpu, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        opened(tmp_path / "absent.engine", gpu)


def test_the_input_of_the_artifact_is_known_to_the_engine(engine: Path) -> None:
    with pytest.raises(UsageError, match="does not say what it takes"):
        read_input(engine)
    spec = InputSpec(shapes=((3, 16, 16),))
    said = json.loads(sidecar_path(engine).read_text())
    said["metadata"]["compress.input"] = json.dumps(encode(spec))
    sidecar_path(engine).write_text(json.dumps(said))
    assert read_input(engine) == spec


def test_an_engine_that_says_another_input_than_it_has_is_refused(engine: Path) -> None:
    said = json.loads(sidecar_path(engine).read_text())
    said["metadata"]["compress.input"] = json.dumps(encode(InputSpec(shapes=((3, 32, 16),))))
    sidecar_path(engine).write_text(json.dumps(said))
    with pytest.raises(ArtifactError, match="says 3x32x16, the file itself takes 3x16x16"):
        read_input(engine)
