import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from export.tensorrt.presence import driver_failure, import_failure, missing_tensorrt, version_numbers


def test_the_cpu_is_refused_with_a_way_out() -> None:
    reason = missing_tensorrt("cpu")
    assert reason is not None
    assert "--device cuda" in reason


def test_without_tensorrt_both_kinds_of_wheel_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    reason = import_failure()
    assert reason is not None
    assert '"tensorrt-cu13>=10.13,<11" (driver R580' in reason
    assert '"tensorrt-cu12>=10.13,<11"' in reason
    assert "T4" in reason


def test_bindings_without_their_libraries_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object')")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    reason = import_failure()
    assert reason is not None
    assert "libnvinfer.so.10" in reason


def test_an_old_version_is_refused(fake: ModuleType) -> None:
    assert import_failure() is None
    fake.__version__ = "10.9.0.34"
    reason = import_failure()
    assert reason is not None
    assert "10.9.0.34 is too old" in reason


@pytest.mark.parametrize(
    ("version", "expected"), [("10.16.1.11", (10, 16)), ("11.4.0.106", (11, 4)), ("odd", (0, 0))]
)
def test_versions_compare_as_numbers(version: str, expected: tuple[int, int]) -> None:
    assert version_numbers(version) == expected


@pytest.mark.parametrize(
    ("driver", "distributions", "needed"),
    [
        ("535.104.05", ["tensorrt_cu13", "numpy"], "R580"),
        ("535.104.05", ["tensorrt-cu13-libs"], "R580"),
        ("535.104.05", ["tensorrt_cu12_bindings"], None),
        ("580.95.05", ["tensorrt_cu13"], None),
        ("470.82", ["tensorrt_cu12"], "R525"),
        ("unknown", ["tensorrt_cu13"], None),
        ("535.104.05", ["torch"], None),
    ],
)
def test_an_old_driver_needs_wheels_for_an_older_cuda(
    driver: str, distributions: list[str], needed: str | None
) -> None:
    reason = driver_failure(driver, distributions)
    if needed is None:
        assert reason is None
    else:
        assert reason is not None
        assert needed in reason
        assert "tensorrt-cu12" in reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_without_cuda_the_driver_is_what_is_missing(fake: ModuleType) -> None:
    reason = missing_tensorrt("cuda")
    assert reason is not None
    assert "torch.cuda.is_available() is false; install a driver" in reason


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("cuda", (7, 5), None),
        ("cuda:1", (9, 0), None),
        ("cuda:2", (9, 0), "there are 2 CUDA devices"),
        ("cuda:0", (7, 0), "compute capability 7.0, TensorRT needs 7.5"),
    ],
)
def test_devices_are_counted_and_their_age_is_known(
    fake: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    capability: tuple[int, int],
    expected: str | None,
) -> None:
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_capability": lambda index: capability,
        "get_device_name": lambda index: "some GPU",
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr("export.tensorrt.presence.installed_driver", lambda: "580.95.05")
    reason = missing_tensorrt(device)
    if expected is None:
        assert reason is None
    else:
        assert reason is not None
        assert expected in reason
        assert "install" in reason
