import subprocess
from pathlib import Path

import pytest
import torch

from bench import environment as module
from bench.environment import environment
from compressor.base import system
from export.backends import BACKENDS


def test_versions_and_machine_are_named() -> None:
    found = environment()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"os", "python", "cpu", "logical_cores", "onnx", "numpy"} <= set(found)
    assert all(isinstance(value, str) and value for value in found.values())


def test_what_every_runtime_is_made_of_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.metadata, "version", lambda name: f"1 of {name}")
    runtimes = {package for name in BACKENDS for package in BACKENDS.get(name).packages}
    assert runtimes <= set(environment())


def test_what_cannot_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "text_of", lambda path: "")
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    found = environment()
    assert not {"memory_gib", "governor", "cpu_mhz", "physical_cores", "instruction_sets"} & set(found)
    assert found["cpu"]


def test_cores_and_flags_come_from_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    core = (
        "processor : {p}\nmodel name : Abacus 9\ncpu MHz : 2500.0\nphysical id : 0\ncore id : {c}\n"
        "flags : fpu avx2 avx512f avx512_vnni\n\n"
    )
    cpuinfo = "".join(core.format(p=p, c=p // 2) for p in range(4))
    monkeypatch.setattr(module, "text_of", lambda path: cpuinfo if path.name == "cpuinfo" else "")
    found = environment()
    assert (found["cpu"], found["physical_cores"], found["cpu_mhz"]) == ("Abacus 9", "2", "2500.0")
    assert found["instruction_sets"] == "avx2 avx512f avx512_vnni"


def pretend_nvidia_smi(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout=answer)

    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module.subprocess, "run", run)
    return asked


def test_gpus_are_read_with_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "Tesla T4, 580.1, 585 MHz, 1590 MHz, 5001 MHz, 27.1 W, 70.00 W, 41\n"
    asked = pretend_nvidia_smi(monkeypatch, 2 * line)
    found = environment()
    assert len(asked) == 1
    assert (found["gpu0_name"], found["gpu1_name"]) == ("Tesla T4", "Tesla T4")
    assert (found["gpu0_driver_version"], found["gpu0_clocks_max_sm"]) == ("580.1", "1590 MHz")


def test_a_failing_nvidia_smi_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(9, "nvidia-smi")

    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module.subprocess, "run", run)
    assert "nvidia-smi failed" in environment()["gpu"]
