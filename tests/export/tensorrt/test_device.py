import numpy as np
import pytest
import torch

from export.tensorrt.device import CudaDevice, TorchBuffer, driver_version, gpu_facts, installed_driver

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8, np.int32, np.int64, np.bool_])
def test_a_buffer_returns_what_was_put_in(dtype: type[np.generic]) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    buffer = TorchBuffer((2, 3, 4), np.dtype(dtype), torch.device("cpu"))
    assert buffer.address != 0
    np.testing.assert_array_equal(buffer.download(), np.zeros_like(array))
    buffer.upload(array)
    out = buffer.download()
    assert out.dtype == array.dtype
    np.testing.assert_array_equal(out, array)
    buffer.upload(np.zeros_like(array))
    np.testing.assert_array_equal(out, array)


def test_read_only_and_strided_arrays_can_be_uploaded() -> None:
    whole = np.arange(12, dtype=np.float32).reshape(3, 4)
    whole.setflags(write=False)
    buffer = TorchBuffer((4, 3), np.dtype(np.float32), torch.device("cpu"))
    buffer.upload(whole.T)
    np.testing.assert_array_equal(buffer.download(), whole.T)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15\nGCC 12.2.0",
            "535.104.05",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (x@y)",
            "580.95.05",
        ),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.82  Thu", "470.82"),
        ("", "unknown"),
    ],
)
def test_the_driver_is_read_from_what_the_kernel_says(text: str, expected: str) -> None:
    assert driver_version(text) == expected


def test_a_machine_without_driver_is_unknown(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.tensorrt.device._DRIVER", tmp_path / "absent")
    assert installed_driver() == "unknown"


@needs_cuda
def test_a_recorded_graph_computes_again() -> None:
    device = CudaDevice(0)
    with device.active():
        buffer = device.buffer((4,), np.dtype(np.float32))
        tensor = buffer._tensor
        replay = device.captured(lambda: tensor.mul_(2))
        buffer.upload(np.ones(4, np.float32))
        replay()
        replay()
        device.synchronize()
        assert buffer.download().tolist() == [4, 4, 4, 4]
    assert device.stream != 0
    assert device.facts == gpu_facts(0)
