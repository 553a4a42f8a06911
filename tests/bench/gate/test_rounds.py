"""Workers of the gate: fresh processes that find what the caller finds."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.gate.rounds import Pair, rounds_in_turn
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.zoo import Trust, find
from export.backends import BACKENDS

ALONE = """
import sys, bench.gate.worker
from export.backends import BACKENDS
assert BACKENDS.alone("onnxruntime").suffix == ".onnx"
sys.exit(any(name in sys.modules for name in ("torch", "onnx", "compressor.zoo")))
"""


def test_a_worker_of_onnx_runtime_starts_without_torch() -> None:
    assert subprocess.run([sys.executable, "-c", ALONE], check=False).returncode == 0


def test_every_backend_is_found_alone() -> None:
    assert all(BACKENDS.alone(name) is BACKENDS.get(name) for name in BACKENDS)
    with pytest.raises(UsageError, match="unknown backend 'onnx'"):
        BACKENDS.alone("onnx")


FACTORY = """
from torch import nn
def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


def test_a_factory_on_the_users_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "net_of_the_gate.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    arch = find("net_of_the_gate:build")
    made = Artifact.dense(arch, shapes=((3, 8, 8),)).save(tmp_path / "a")
    pair = Pair(
        baseline=tmp_path / "a", candidate=tmp_path / "a", inputs=made.input, backend="torch", device="cpu",
        threads=1, batch=1, budget_s=0.1, trust=Trust.of([arch.name]), seed=0,
    )  # fmt: skip
    with rounds_in_turn(pair, 1) as rounds:
        first = next(rounds)
    assert min(*first["baseline"], *first["candidate"]) > 0
