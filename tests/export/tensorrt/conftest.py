"""TensorRT and a GPU, played by `fake_tensorrt.py` and host memory."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.tensorrt.device import GpuFacts, TorchBuffer

T4 = GpuFacts(name="Tesla T4", compute_capability="7.5", cuda="12.8", driver="535.104.05")


class HostDevice:
    """A device whose memory is the host's; it insists on being made current before it is used."""

    stream = 7

    def __init__(self, facts: GpuFacts = T4) -> None:
        self.facts = facts
        self.recorded = 0
        self.replayed = 0
        self.recordable = True
        self._active = False

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        self._active = True
        try:
            yield
        finally:
            self._active = False

    def buffer(self, shape, dtype):
        assert self._active
        return TorchBuffer(shape, dtype, "cpu")

    def synchronize(self) -> None:
        assert self._active

    def captured(self, launch):
        assert self._active
        if not self.recordable:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded += 1

        def replay():
            self.replayed += 1
            launch()

        return replay


@pytest.fixture
def gpu() -> HostDevice:
    return HostDevice()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the fake, installed as ``tensorrt``."""
    path = Path(__file__).with_name("fake_tensorrt.py")
    spec = importlib.util.spec_from_file_location("tensorrt", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def onnx_file(tmp_path: Path, tiny_onnx: bytes) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx)
    return path


@pytest.fixture
def half_onnx(tmp_path: Path) -> Path:
    """Return a file whose two convolutions compute in FP16, between casts."""
    weights = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["input"], ["half"], name="down", to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["half", "w"], ["a"], name="conv1", pads=[1] * 4),
        helper.make_node("Conv", ["a", "w"], ["b"], name="conv2", pads=[1] * 4),
        helper.make_node("Cast", ["b"], ["output"], name="up", to=TensorProto.FLOAT),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, 16, 16])
        for name in ("input", "output")
    ]
    weight = onnx.numpy_helper.from_array(weights, "w")
    graph = helper.make_graph(nodes, "half", ports[:1], ports[1:], initializer=[weight])
    path = tmp_path / "half.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path
