"""OpenVINO's habits, switched off; what every backend must do is tested in test_backends.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compressor.base.errors import BackendMissingError, UsageError
from export.backends import BACKENDS, SessionOptions

OPENVINO = BACKENDS.get("openvino")
MISSING = OPENVINO.missing("cpu")
needed = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture
def tiny(tmp_path: Path, tiny_onnx: bytes) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx)
    return path


def test_it_says_what_to_install(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert OPENVINO.missing("cpu") == "openvino is not installed; pip install openvino"
    with pytest.raises(BackendMissingError, match="pip install openvino") as caught:
        OPENVINO.open(tiny, SessionOptions())
    assert caught.value.exit_code == 5


@needed
@pytest.mark.parametrize("threads", [1, 2])
def test_fp32_means_fp32_and_threads_are_those_asked_for(tiny: Path, threads: int) -> None:
    with OPENVINO.open(tiny, SessionOptions(threads=threads)) as session:
        compiled = session._compiled
        assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
        assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
        assert str(compiled.get_property("PERFORMANCE_HINT")).endswith("LATENCY")


@needed
def test_importing_it_reports_nothing_to_anyone(tiny: Path, tmp_path: Path) -> None:
    """The telemetry package keeps a counter in the home folder: it is written on every report."""
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys\nfrom pathlib import Path\nfrom export.backends import BACKENDS, SessionOptions\n"
        f"with BACKENDS.get('openvino').open(Path({str(tiny)!r}), SessionOptions()) as session:\n"
        "    print(session.output_names)\n"
        "assert not [name for name in sys.modules if 'telemetry' in name]\n"
    )
    environment = {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("('output',)\n", 0), done.stderr
    assert not (home / "intel").exists()


@needed
@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100])
def test_a_file_that_is_no_onnx_model_is_a_usage_error(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.onnx"):
        OPENVINO.open(path, SessionOptions())
    assert capfd.readouterr() == ("", "")


@needed
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_model_is_a_usage_error(tiny: Path, share: float) -> None:
    whole = tiny.read_bytes()
    tiny.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UsageError, match=r"m\.onnx"):
        OPENVINO.open(tiny, SessionOptions())


@needed
def test_an_unknown_operator_is_a_usage_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "m.onnx", [helper.make_node("Frobnicate", ["x"], ["y"], domain="nobody")], "xy")
    with pytest.raises(UsageError, match="Frobnicate"):
        OPENVINO.open(tmp_path / "m.onnx", SessionOptions())
    assert capfd.readouterr() == ("", "")


@needed
def test_names_order_and_types_are_those_of_the_file(tmp_path: Path) -> None:
    """An Identity disappears in OpenVINO, and the tensor then has both names."""
    nodes = [
        helper.make_node("Relu", ["x"], ["b"]),
        helper.make_node("Identity", ["b"], ["a"]),
        helper.make_node("Greater", ["x", "b"], ["flag"]),
        helper.make_node("ArgMax", ["x"], ["number"], axis=1, keepdims=0),
    ]
    kinds = {"flag": TensorProto.BOOL, "number": TensorProto.INT64}
    save(tmp_path / "m.onnx", nodes, ["x", "number", "a", "b", "flag"], kinds)
    x = np.array([[-1.0, 2.0, 1.0]], np.float32)
    with OPENVINO.open(tmp_path / "m.onnx", SessionOptions()) as session:
        assert session.output_names == ("number", "a", "b", "flag")
        found = session.run({"x": x})
        with pytest.raises(UsageError, match="refuses its input"):
            session.run({"x": x.astype(np.float64)})
    assert found["number"].dtype == np.int64
    assert found["number"].tolist() == [1]
    assert found["flag"].dtype == np.bool_
    assert not found["flag"].any()
    np.testing.assert_array_equal(found["a"], np.maximum(x, 0))
    np.testing.assert_array_equal(found["b"], np.maximum(x, 0))


@needed
def test_arrays_need_not_be_contiguous(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", [helper.make_node("Neg", ["x"], ["y"])], "xy")
    x = np.arange(12, dtype=np.float32).reshape(3, 4).T[:, ::2]
    with OPENVINO.open(tmp_path / "m.onnx", SessionOptions()) as session:
        np.testing.assert_array_equal(session.run({"x": x})["y"], -x)


def save(path: Path, nodes: list[onnx.NodeProto], names: object, kinds: dict[str, int] | None = None) -> None:
    """Write a graph whose first name is its input and whose others are its outputs."""
    ports = []
    for name in names:
        kind = (kinds or {}).get(name, TensorProto.FLOAT)
        shape = ["n"] if name == "number" else ["n", "m"]
        ports.append(helper.make_tensor_value_info(name, kind, shape))
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nobody", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
