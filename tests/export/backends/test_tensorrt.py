"""The TensorRT backend itself; what it is made of is tested in tests/export/tensorrt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from compressor.base.errors import BackendMissingError, UsageError
from compressor.tasks.parity import compare
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.backends.tensorrt import TensorRtBackend
from export.tensorrt.build import build_engine
from export.tensorrt.load import EngineOptions
from export.tensorrt.presence import missing_tensorrt
from export.tensorrt.settings import EngineSettings

MISSING = missing_tensorrt("cuda")


def test_it_is_registered_and_runs_on_gpus_only() -> None:
    backend = BACKENDS.get("tensorrt")
    assert backend.suffix == ".engine"
    assert "NVIDIA GPUs only" in str(backend.missing("cpu"))


@pytest.mark.skipif(MISSING is None, reason="asks for TensorRT where there is none")
def test_a_missing_tensorrt_is_an_error_with_advice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.engine"
    path.write_bytes(b"not opened")
    for device in ("cpu", "cuda"):
        with pytest.raises(BackendMissingError, match="install") as caught:
            BACKENDS.get("tensorrt").open(path, SessionOptions(device=device))
        assert caught.value.exit_code == 5
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        BACKENDS.get("tensorrt").open(tmp_path / "absent.engine", SessionOptions(device="cuda"))


@pytest.mark.skipif(MISSING is not None, reason=f"needs TensorRT and a GPU: {MISSING}")
@pytest.mark.parametrize("graphs", [True, False])
def test_an_engine_computes_what_the_module_computes(
    tmp_path: Path, tiny_onnx: bytes, tiny_net: Callable[[], nn.Module], image: InputSpec, graphs: bool
) -> None:
    source = tmp_path / "m.onnx"
    source.write_bytes(tiny_onnx)
    file = build_engine(source, tmp_path / "m.engine", EngineSettings(batches=(1, 2, 4)))
    assert file.record.precision_share["fp32"] > 0.5
    backend = TensorRtBackend(engines=EngineOptions(cuda_graphs=graphs))
    with (
        TorchSession(tiny_net(), image, SessionOptions()) as reference,
        backend.open(file.path, SessionOptions(device="cuda")) as candidate,
    ):
        compare(reference, candidate, image, batches=(1, 3, 4))
        with pytest.raises(UsageError, match="refuses its input"):
            candidate.run({"input": np.zeros((5, 3, 16, 16), np.float32)})
