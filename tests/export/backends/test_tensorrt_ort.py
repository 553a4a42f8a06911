"""TensorRT below ONNX Runtime: never another provider in its place."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from torch import nn

from compressor.base.errors import BackendMissingError, UsageError
from compressor.base.files import user_cache
from compressor.tasks.parity import compare
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions
from export.backends.ort_tensorrt import (
    PROVIDER,
    OrtTensorRtBackend,
    engine_folder,
    linked_major,
    mismatch,
    opened,
    provider_options,
)
from export.backends.pytorch import TorchSession
from export.tensorrt.device import GpuFacts
from export.tensorrt.source import OnnxSource

MISSING = BACKENDS.get("ort-tensorrt").missing("cuda")
LIBRARY = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
T4 = GpuFacts(name="Tesla T4", compute_capability="7.5", cuda="12.8", driver="535.104.05")


@pytest.fixture
def source(tmp_path: Path, tiny_onnx: bytes) -> OnnxSource:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx)
    return OnnxSource.read(path)


def test_it_is_registered_and_runs_on_gpus_only() -> None:
    backend = BACKENDS.get("ort-tensorrt")
    assert backend.suffix == ".onnx"
    assert "NVIDIA GPUs only" in str(backend.missing("cpu"))


@pytest.mark.skipif(MISSING is None, reason="asks for TensorRT where there is none")
def test_a_missing_tensorrt_is_an_error_with_advice(source: OnnxSource) -> None:
    with pytest.raises(BackendMissingError, match="install") as caught:
        BACKENDS.get("ort-tensorrt").open(source.path, SessionOptions(device="cuda"))
    assert caught.value.exit_code == 5


@pytest.mark.skipif(MISSING is None, reason="asks for TensorRT where there is none")
@pytest.mark.skipif(not LIBRARY.is_file(), reason="this onnxruntime has no TensorRT provider")
def test_a_provider_that_does_not_load_is_an_error(
    source: OnnxSource, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real ONNX Runtime, past our own checks: what it does where the libraries are not there."""
    with pytest.raises(BackendMissingError, match=f"{PROVIDER} did not load"):
        opened(source, provider_options(source, tmp_path, 0), "cuda")
    assert capfd.readouterr() == ("", "")


class PretendSession:
    """Stands for ONNX Runtime on a machine where the provider loads, or silently does not."""

    loaded = PROVIDER
    failure: str | None = None

    def __init__(self, path: str, settings: object, providers: list, enable_fallback: int) -> None:
        assert [name for name, _ in providers] == [PROVIDER]
        if self.failure:
            raise RuntimeError(self.failure)

    def get_providers(self) -> list[str]:
        return [self.loaded, "CPUExecutionProvider"]

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> type[PretendSession]:
    session = type("Session", (PretendSession,), {})
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    return session


def test_a_session_on_another_provider_does_not_open(
    source: OnnxSource, pretend: type[PretendSession]
) -> None:
    assert opened(source, {}, "cuda:1").device == "cuda:1"
    pretend.loaded = "CUDAExecutionProvider"
    with pytest.raises(BackendMissingError, match="CUDAExecutionProvider did"):
        opened(source, {}, "cuda")


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        ("... fallback to CPU EP has been explicitly disabled ...", BackendMissingError, "every node"),
        ("Please install TensorRT libraries as mentioned", BackendMissingError, "did not load"),
        ("Protobuf parsing failed", UsageError, r"cannot load .*m\.onnx"),
    ],
)
def test_failures_are_told_apart(
    source: OnnxSource, pretend: type[PretendSession], failure: str, kind: type[Exception], message: str
) -> None:
    pretend.failure = failure
    with pytest.raises(kind, match=message):
        opened(source, {}, "cuda")


def test_engines_are_cached_in_a_private_folder(
    source: OnnxSource, pretend: type[PretendSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.backends.ort_tensorrt.missing_tensorrt", lambda device: None)
    monkeypatch.setattr("export.backends.ort_tensorrt.gpu_facts", lambda index: T4)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.16.1.11"))
    backend = OrtTensorRtBackend(cache=tmp_path / "cache")
    with backend.open(source.path, SessionOptions(device="cuda")) as session:
        assert session.device == "cuda"
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.stat().st_mode & 0o077 == 0


def test_both_caches_and_the_device_are_given(source: OnnxSource, tmp_path: Path) -> None:
    assert provider_options(source, tmp_path, 3) == {
        "device_id": "3",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path),
    }


def test_precisions_of_the_graph_are_enabled(tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1]) for name in "xy"]
    scale = helper.make_tensor("s", TensorProto.FLOAT16, [], [0.5])
    nodes = [helper.make_node("QuantizeLinear", ["x", "s"], ["q"])]
    nodes += [helper.make_node("DequantizeLinear", ["q", "s"], ["y"])]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], initializer=[scale])
    onnx.save(helper.make_model(graph), tmp_path / "q.onnx")
    options = provider_options(OnnxSource.read(tmp_path / "q.onnx"), tmp_path, 0)
    assert options["trt_fp16_enable"] == options["trt_int8_enable"] == "1"


def test_every_change_gets_engines_of_its_own(source: OnnxSource, tmp_path: Path) -> None:
    folders = {
        engine_folder(tmp_path, source, T4, "10.16.1.11"),
        engine_folder(tmp_path, source, T4, "10.13.3.9"),
        engine_folder(tmp_path, source, replace(T4, driver="580.95.05"), "10.16.1.11"),
        engine_folder(tmp_path, source, replace(T4, name="NVIDIA L4"), "10.16.1.11"),
        engine_folder(tmp_path, replace(source, sha256="0" * 64), T4, "10.16.1.11"),
    }
    assert len(folders) == 5
    assert engine_folder(tmp_path, source, T4, "10.16.1.11") in folders


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache("ort-tensorrt").parent.parent == tmp_path
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache("ort-tensorrt").is_relative_to(Path.home())


def test_a_tensorrt_that_onnxruntime_is_not_linked_to_is_named(tmp_path: Path) -> None:
    library = tmp_path / "provider.so"
    library.write_bytes(b"\x7fELF\x00libnvinfer_plugin.so.10\x00libnvinfer.so.10\x00")
    assert linked_major(library) == 10
    assert linked_major(tmp_path / "absent.so") is None
    assert mismatch(10, "10.16.1.11") is None
    assert mismatch(None, "11.4.0.106") is None
    reason = mismatch(10, "11.4.0.106")
    assert reason is not None
    assert "libnvinfer.so.10, installed is TensorRT 11.4.0.106" in reason
    assert "tensorrt-cu13>=10,<11" in reason


@pytest.mark.skipif(not LIBRARY.is_file(), reason="this onnxruntime has no TensorRT provider")
def test_the_link_of_the_installed_provider_is_found() -> None:
    assert linked_major(LIBRARY) in (10, 11)


@pytest.mark.skipif(MISSING is not None, reason=f"needs TensorRT and a GPU: {MISSING}")
def test_it_computes_what_the_module_computes(
    source: OnnxSource, tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    backend = OrtTensorRtBackend(cache=tmp_path / "cache")
    with (
        TorchSession(tiny_net(), image, SessionOptions()) as reference,
        backend.open(source.path, SessionOptions(device="cuda")) as candidate,
    ):
        report = compare(reference, candidate, image, limit=1e-2)  # TensorRT may use TF32 below ONNX Runtime
    assert report.cases
    assert report.max_relative_difference <= 1e-2
