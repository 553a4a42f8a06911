"""Building, with the fake in the place of TensorRT."""

import hashlib
import json
from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto, helper

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from export.tensorrt.build import build_engine, first_gpu, timing_cache_path
from export.tensorrt.settings import EngineSettings
from export.tensorrt.sidecar import read_record, sidecar_path
from export.tensorrt.source import OnnxSource

SETTINGS = EngineSettings(batches=(1, 2, 4))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".onnx")


def test_an_engine_comes_with_a_sidecar_that_describes_it(
    fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path
) -> None:
    file = build_engine(onnx_file, tmp_path / "m.engine", SETTINGS, device=gpu)
    assert left_behind(tmp_path) == ["m.engine", "m.engine.json", "m.engine.timing"]
    assert file.bytes == file.path.stat().st_size
    said = json.loads(sidecar_path(file.path).read_text())
    assert said["tensorrt"] == fake.__version__
    assert said["gpu"] == {
        "name": "Tesla T4",
        "compute_capability": "7.5",
        "cuda": "12.8",
        "driver": "535.104.05",
    }
    assert said["onnx_sha256"] == sha256(onnx_file)
    assert said["engine_sha256"] == sha256(file.path)
    assert said["timing_cache_sha256"] == sha256(timing_cache_path(file.path))
    assert said["batches"] == [1, 2, 4]
    assert said["inputs"] == [
        {"name": "input", "dtype": "float32", "smallest": [1, 3, 16, 16], "largest": [4, 3, 16, 16]}
    ]
    assert said["precision"] == "fp32"
    assert said["precision_share"] == {"fp32": 1.0}
    assert said["tf32"] is False
    assert read_record(file.path) == file.record


def test_the_network_is_strongly_typed_and_configured(
    fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path
) -> None:
    settings = EngineSettings(batches=(1, 2, 4), workspace_bytes=2**20, optimization_level=5)
    build_engine(onnx_file, tmp_path / "m.engine", settings, device=gpu)
    assert ("create_network", 2) in fake.script.calls  # STRONGLY_TYPED is 1 in TensorRT 10
    (config,) = (call[1] for call in fake.script.calls if call[0] == "build")
    assert config.builder_optimization_level == 5
    assert config._limits == {fake.MemoryPoolType.WORKSPACE: 2**20}
    assert config._flags == set()  # TF32 is on unless it is cleared
    assert config._profiles[0]._shapes == {"input": [(n, 3, 16, 16) for n in (1, 2, 4)]}


def test_tf32_is_kept_where_it_was_asked_for(fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path) -> None:
    build_engine(onnx_file, tmp_path / "m.engine", EngineSettings(tf32=True), device=gpu)
    (config,) = (call[1] for call in fake.script.calls if call[0] == "build")
    assert config._flags == {fake.BuilderFlag.TF32}


@pytest.mark.parametrize("major", [10, 11])
def test_fp16_is_read_back_from_the_engine(
    fake: ModuleType, gpu, half_onnx: Path, onnx_file: Path, tmp_path: Path, major: int
) -> None:
    fake.script.major = major
    settings = EngineSettings(precision="fp16")
    file = build_engine(half_onnx, tmp_path / "half.engine", settings, device=gpu)
    assert file.record.precision_share == {"fp16": 0.75, "fp32": 0.25}  # of two casts and two convolutions
    with pytest.raises(CompressError, match="fp16 was asked for, but only 0%"):
        build_engine(onnx_file, tmp_path / "m.engine", settings, device=gpu)
    assert left_behind(tmp_path) == ["half.engine", "half.engine.json", "half.engine.timing"]


@pytest.mark.parametrize(
    ("cache", "reused"), [(None, False), (b"CACHE", True), (b"CACHE of other GPU", False), (b"\x00", False)]
)
def test_a_timing_cache_is_reused_where_it_fits(
    fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path, cache: bytes | None, reused: bool
) -> None:
    engine = tmp_path / "m.engine"
    if cache is not None:
        timing_cache_path(engine).write_bytes(cache)
    file = build_engine(onnx_file, engine, SETTINGS, device=gpu)
    assert file.record.timing_cache_reused is reused
    assert timing_cache_path(engine).read_bytes() == b"CACHE measured"


def test_an_unsupported_operator_is_named_with_its_node(
    fake: ModuleType, gpu, half_onnx: Path, tmp_path: Path
) -> None:
    fake.script.unsupported = {"Conv"}
    with pytest.raises(CompressError, match="Conv node 'conv1': no importer for Conv; Conv node") as caught:
        build_engine(half_onnx, tmp_path / "m.engine", SETTINGS, device=gpu)
    assert "--backend onnxruntime" in caught.value.hint
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "call",
    [
        "init_libnvinfer_plugins",
        "parse_from_file",
        "set_timing_cache",
        "add_optimization_profile",
        "build_serialized_network",
        "get_timing_cache",
        "deserialize_cuda_engine",
        "create_engine_inspector",
        "create_execution_context",
        "set_optimization_profile_async",
        "set_input_shape",
        "infer_shapes",
    ],
)
def test_no_refusal_goes_unnoticed(fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path, call: str) -> None:
    fake.script.refused = {call}
    fake.script.messages = ["out of memory", "no tactic found"]
    with pytest.raises(CompressError) as caught:
        build_engine(onnx_file, tmp_path / "m.engine", SETTINGS, device=gpu)
    expected = "shape_tensor" if call == "infer_shapes" else "out of memory; no tactic found"
    assert expected in caught.value.message
    assert left_behind(tmp_path) == []


def test_libraries_that_do_not_start_are_a_missing_backend(
    fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path
) -> None:
    fake.script.usable = False
    with pytest.raises(BackendMissingError, match="CUDA initialization failure with error: 35"):
        build_engine(onnx_file, tmp_path / "m.engine", SETTINGS, device=gpu)


def fixed(path: Path, shape: list[int | str]) -> Path:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output")]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["output"])], "g", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def test_a_fixed_batch_is_taken_as_it_is(fake: ModuleType, gpu, tmp_path: Path) -> None:
    source = fixed(tmp_path / "fixed.onnx", [3, 4])
    file = build_engine(source, tmp_path / "m.engine", SETTINGS, device=gpu)
    assert file.record.batches == (3, 3, 3)
    assert file.record.inputs[0].largest == (3, 4)
    with pytest.raises(UsageError, match="fixed batch of 3"):
        build_engine(source, tmp_path / "n.engine", EngineSettings(batches=(4, 4, 8)), device=gpu)


def test_a_dynamic_axis_other_than_the_batch_is_refused(fake: ModuleType, gpu, tmp_path: Path) -> None:
    source = fixed(tmp_path / "wide.onnx", ["batch", "width"])
    with pytest.raises(UsageError, match=r"input has shape \(-1, -1\)"):
        build_engine(source, tmp_path / "m.engine", SETTINGS, device=gpu)


def test_files_are_not_overwritten_and_folders_not_made(
    fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "m.engine"
    taken.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        build_engine(onnx_file, taken, SETTINGS, device=gpu)
    assert taken.read_bytes() == b"mine"
    with pytest.raises(UsageError, match="does not exist"):
        build_engine(onnx_file, tmp_path / "absent" / "m.engine", SETTINGS, device=gpu)


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\x00" * 100])
def test_a_file_that_is_no_onnx_model_is_a_usage_error(
    fake: ModuleType, gpu, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.onnx"):
        build_engine(path, tmp_path / "m.engine", SETTINGS, device=gpu)


def test_a_full_disk_leaves_nothing_behind(
    fake: ModuleType, gpu, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Path.write_bytes

    def write(path: Path, data: bytes) -> int:
        if path.name == "m.engine":
            raise OSError(28, "No space left on device")
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(CompressError, match="No space left"):
        build_engine(onnx_file, tmp_path / "m.engine", SETTINGS, device=gpu)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "fp8"},
        {"batches": (0, 1, 2)},
        {"batches": (2, 1, 4)},
        {"batches": (1, 8, 4)},
        {"workspace_bytes": 0},
        {"optimization_level": 6},
        {"least_share": 1.5},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="impossible"):
        EngineSettings(**settings)


def test_without_tensorrt_the_reason_is_given() -> None:
    with pytest.raises(BackendMissingError, match=r"no engine can be built here: .*install"):
        first_gpu()


def test_weights_beside_the_graph_belong_to_the_digest(onnx_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    outside = folder / "m.onnx"
    onnx.save(
        onnx.load(onnx_file), outside, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    before = OnnxSource.read(outside)
    weights = folder / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    assert OnnxSource.read(outside).sha256 != before.sha256
    weights.unlink()
    with pytest.raises(UsageError, match=r"weights\.bin does not exist"):
        OnnxSource.read(outside)


def test_weights_outside_of_the_folder_are_not_read(onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_file)
    (tmp_path / "secret").write_bytes(b"0" * 64)
    for weight in model.graph.initializer:
        weight.data_location = onnx.TensorProto.EXTERNAL
        del weight.external_data[:]
        weight.external_data.add(key="location", value="../secret")
    inside = tmp_path / "folder"
    inside.mkdir()
    (inside / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match=r"\.\./secret as its weights, which is outside"):
        OnnxSource.read(inside / "m.onnx")


@pytest.mark.parametrize(
    ("kind", "name"), [(onnx.TensorProto.BFLOAT16, "BF16"), (onnx.TensorProto.FLOAT8E4M3FN, "FP8")]
)
def test_a_format_that_the_gpu_lacks_is_refused(
    kind: int, name: str, onnx_file: Path, tmp_path: Path, gpu
) -> None:
    model = onnx.load(onnx_file)
    value = model.graph.input[0].name
    model.graph.node.append(onnx.helper.make_node("Cast", [value], ["narrow"], to=kind))
    narrow = tmp_path / "narrow.onnx"
    onnx.save(model, narrow)
    with pytest.raises(UsageError, match=f"holds {name} tensors.*needs"):
        build_engine(narrow, tmp_path / "m.engine", SETTINGS, device=gpu)
    assert left_behind(tmp_path) == []
