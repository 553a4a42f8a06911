"""What every runtime must do, run against every registered one."""

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import BackendMissingError, UsageError
from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Backend, Session, SessionOptions, file_suffixes, usual_backends
from export.backends.ort import BoundOrtSession, OrtSession
from export.backends.pytorch import TorchSession


@pytest.fixture
def files(
    tmp_path: Path,
    tiny_net: Callable[[], nn.Module],
    tiny_onnx: bytes,
    image: InputSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Path]:
    """Return the same model in the form that each suffix stands for."""
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    stub = SimpleNamespace(
        Artifact=SimpleNamespace(
            load=lambda path, trust: SimpleNamespace(deployed=lambda: (tiny_net(), image))
        ),
    )
    monkeypatch.setitem(sys.modules, "compressor.artifact", stub)
    graph = tmp_path / "m.onnx"
    graph.write_bytes(tiny_onnx)
    return {"": artifact, ".onnx": graph}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    found = BACKENDS.get(request.param)
    reason = found.missing("cpu")
    if reason is not None:
        pytest.skip(f"{found.name}: {reason}")
    return found


def test_names_are_known() -> None:
    assert {"onnxruntime", "torch"} <= set(BACKENDS)
    assert all(BACKENDS.get(name).name == name for name in BACKENDS)
    with pytest.raises(UsageError, match="onnxruntme"):
        BACKENDS.get("onnxruntme")


def test_every_suffix_has_one_usual_backend() -> None:
    assert usual_backends() == {"": "torch", ".onnx": "onnxruntime", ".engine": "tensorrt"}
    assert file_suffixes() == {".onnx", ".engine"}
    usual = [BACKENDS.get(name).suffix for name in BACKENDS if BACKENDS.get(name).usual]
    assert len(usual) == len(set(usual)) == len({BACKENDS.get(name).suffix for name in BACKENDS})


def test_what_is_usable_names_an_installed_package(backend: Backend) -> None:
    installed = {str(d.name).lower().replace("_", "-") for d in metadata.distributions()}
    assert set(backend.packages) & installed


def test_outputs_are_those_of_the_module(
    backend: Backend, files: dict[str, Path], tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    model = tiny_net().eval()
    with backend.open(files[backend.suffix], SessionOptions()) as session:
        assert session.device == "cpu"
        assert session.input_names == ("input",)
        assert session.output_names == ("output",)
        for batch in (1, 3):
            (x,) = example_arrays(image, batch, seed=(batch,))
            outputs = session.run({"input": x})
            assert list(outputs) == ["output"]
            with torch.no_grad():
                expected = model(torch.from_numpy(x)).numpy()
            assert outputs["output"].dtype == expected.dtype
            np.testing.assert_allclose(outputs["output"], expected, rtol=1e-4, atol=1e-5)


def test_outputs_do_not_depend_on_threads(backend: Backend, files: dict[str, Path], image: InputSpec) -> None:
    (x,) = example_arrays(image, 2, seed=(0,))
    outputs = []
    for threads in (1, 2):
        with backend.open(files[backend.suffix], SessionOptions(threads=threads)) as session:
            outputs.append(session.run({"input": x})["output"])
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-5, atol=1e-6)


def test_later_runs_leave_earlier_outputs_alone(
    backend: Backend, files: dict[str, Path], image: InputSpec
) -> None:
    with backend.open(files[backend.suffix], SessionOptions()) as session:
        first = session.run({"input": example_arrays(image, 1, seed=(0,))[0]})["output"]
        copy = first.copy()
        session.run({"input": example_arrays(image, 1, seed=(1,))[0]})
    np.testing.assert_array_equal(first, copy)


def test_wrong_names_and_shapes_are_usage_errors(
    backend: Backend, files: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    x = np.zeros((1, 3, 16, 16), np.float32)
    with backend.open(files[backend.suffix], SessionOptions()) as session:
        with pytest.raises(UsageError, match="takes input, but was fed image"):
            session.run({"image": x})
        with pytest.raises(UsageError, match="was fed nothing"):
            session.run({})
        with pytest.raises(UsageError, match="refuses its input"):
            session.run({"input": x[:, :2]})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "came"),
    [
        (lambda x: x[:, :2], r"float32 \(2, 2, 16, 16\)"),
        (lambda x: x[0], r"float32 \(3, 16, 16\)"),
        (lambda x: x.astype(np.float64), r"float64 \(2, 3, 16, 16\)"),
        (lambda x: x.astype(np.uint8), r"uint8 \(2, 3, 16, 16\)"),
    ],
)
def test_an_error_of_feeding_names_the_input_what_came_and_what_was_expected(
    backend: Backend, files: dict[str, Path], change: Callable[[np.ndarray], np.ndarray], came: str
) -> None:
    x = np.zeros((2, 3, 16, 16), np.float32)
    with backend.open(files[backend.suffix], SessionOptions()) as session:
        expected = rf"refuses its input: input is {came}, the model takes float32 \(any, 3, 16, 16\)"
        with pytest.raises(UsageError, match=expected) as caught:
            session.run({"input": change(x)})
        assert caught.value.hint
        session.run({"input": x})  # a refusal leaves the session open


def test_a_closed_session_says_so(backend: Backend, files: dict[str, Path]) -> None:
    x = np.zeros((1, 3, 16, 16), np.float32)
    with backend.open(files[backend.suffix], SessionOptions()) as session:
        session.run({"input": x})
    with pytest.raises(RuntimeError, match="session was closed"):
        session.run({"input": x})
    with pytest.raises(RuntimeError, match="session was closed"), session:
        pass


def test_closing_twice_releases_once(
    backend: Backend, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = backend.open(files[backend.suffix], SessionOptions())
    released, release = [], session._release
    monkeypatch.setattr(session, "_release", lambda: (released.append(1), release()))
    session.close()
    session.close()
    with pytest.raises(RuntimeError, match="session was closed"):
        session.run({"input": np.zeros((1, 3, 16, 16), np.float32)})
    assert released == [1]


def test_every_session_is_closed_and_checked_by_the_base(backend: Backend, files: dict[str, Path]) -> None:
    with backend.open(files[backend.suffix], SessionOptions()) as session:
        assert isinstance(session, Session)
        assert not {"run", "close", "_check"} & set(type(session).__dict__)


def test_a_missing_file_is_named(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        backend.open(tmp_path / f"absent{backend.suffix}", SessionOptions())


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_cuda_that_is_not_there_is_an_error_and_silent(
    backend: Backend, files: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    reason = backend.missing("cuda:0")
    assert reason is not None
    assert "install" in reason
    with pytest.raises(BackendMissingError, match="cannot run on cuda:0") as caught:
        backend.open(files[backend.suffix], SessionOptions(device="cuda:0"))
    assert caught.value.exit_code == 5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{"device": "tpu"}, {"device": "cuda:x"}, {"threads": 0}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SessionOptions(**options)


def test_device_numbers() -> None:
    assert [SessionOptions(device=name).cuda_index for name in ("cpu", "cuda", "cuda:3")] == [0, 0, 3]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100])
def test_a_file_that_is_no_onnx_model_is_a_usage_error(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.onnx"):
        BACKENDS.get("onnxruntime").open(path, SessionOptions())
    assert capfd.readouterr() == ("", "")


def test_a_truncated_onnx_model_is_a_usage_error(files: dict[str, Path]) -> None:
    whole = files[".onnx"].read_bytes()
    files[".onnx"].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"m\.onnx"):
        BACKENDS.get("onnxruntime").open(files[".onnx"], SessionOptions())


class PretendSession:
    """Stands for ONNX Runtime on a machine whose CUDA provider loads, or silently does not."""

    loaded = "CUDAExecutionProvider"

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def get_providers(self) -> list[str]:
        return [self.loaded]

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> type[PretendSession]:
    session = type("Session", (PretendSession,), {})
    monkeypatch.setattr("export.backends.ort._cuda_failure", lambda device: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    return session


def test_a_session_on_another_provider_than_asked_for_does_not_open(
    files: dict[str, Path], pretend: type[PretendSession]
) -> None:
    ort = BACKENDS.get("onnxruntime")
    assert ort.open(files[".onnx"], SessionOptions(device="cuda")).device == "cuda"
    pretend.loaded = "CPUExecutionProvider"
    with pytest.raises(BackendMissingError, match="CPUExecutionProvider did"):
        ort.open(files[".onnx"], SessionOptions(device="cuda"))


def test_torch_session_restores_threads_and_modes(
    tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    model = tiny_net().train()
    before = torch.get_num_threads()
    with TorchSession(model, image, SessionOptions(threads=before + 1)):
        assert torch.get_num_threads() == before + 1
        assert not model.training
    assert torch.get_num_threads() == before
    assert model.training


def test_torch_session_cleans_up_where_the_model_does_not_run(image: InputSpec) -> None:
    model = nn.Conv2d(4, 4, 1).train()
    before = torch.get_num_threads()
    with pytest.raises(UsageError, match="does not run on"):
        TorchSession(model, image, SessionOptions(threads=before + 1)).__enter__()
    assert torch.get_num_threads() == before
    assert model.training


def test_torch_session_names_several_inputs_and_dictionary_outputs() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
            return {"sum": x + y, "difference": x - y}

    inputs = InputSpec(shapes=((4,), (4,)))
    with TorchSession(Net(), inputs, SessionOptions()) as session:
        assert session.input_names == ("input_0", "input_1")
        assert session.output_names == ("sum", "difference")
        one = np.ones((2, 4), np.float32)
        assert session.run({"input_1": 2 * one, "input_0": one})["difference"].tolist() == (-one).tolist()


def test_a_binding_gives_the_same_outputs(files: dict[str, Path], image: InputSpec) -> None:
    with BACKENDS.get("onnxruntime").open(files[".onnx"], SessionOptions(threads=1)) as session:
        assert isinstance(session, OrtSession)
        feed = dict(zip(session.input_names, example_arrays(image, 3, seed=(0,)), strict=True))
        expected, found = session.run(feed), BoundOrtSession(session._session, "cpu").run(feed)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_spinning_is_stopped_where_it_is_asked_for_and_a_session_says_so(files: dict[str, Path]) -> None:
    backend, entry = BACKENDS.get("onnxruntime"), "session.force_spinning_stop"
    with backend.open(files[".onnx"], SessionOptions(threads=2, spinning="stopped")) as session:
        assert isinstance(session, OrtSession)
        assert session._session.get_session_options().get_session_config_entry(entry) == "1"
        assert session.spinning == "stopped"
    with backend.open(files[".onnx"], SessionOptions(threads=2)) as session:
        assert session.spinning == "default"


def test_a_runtime_that_cannot_stop_spinning_does_not_say_that_it_does(files: dict[str, Path]) -> None:
    options = SessionOptions(threads=1, spinning="stopped")
    with BACKENDS.get("torch").open(files[""], options) as session:
        assert session.spinning == "default"
