"""The fixture in somebody's project, whose folders have the names of ours."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from compressor.api import load

PLUGIN = "compressor.cli.pytest_plugin"
TESTS = """
OPTIONS = dict(threads=1, processes=2, seconds=0.2)

def test_faster(latency_gate):
    assert latency_gate("small.onnx", against="large.onnx", **OPTIONS)["verdict"] == "pass"

def test_slower(latency_gate):
    latency_gate("large.onnx", against="small.onnx", max_regression=0.1, **OPTIONS)

def test_absent(latency_gate):
    latency_gate("absent.onnx", against="small.onnx")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    load("resnet20_cifar").export(tmp_path / "small.onnx")
    load("resnet56_cifar").export(tmp_path / "large.onnx")
    (tmp_path / "test_latency.py").write_text(TESTS)
    for name in ("bench", "export", "detection"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('mine')\n")
    return tmp_path


def test_the_fixture_passes_fails_and_says_why(project: Path) -> None:
    known = {point.value for point in entry_points(group="pytest11")}
    plugin = [] if PLUGIN in known else ["-p", PLUGIN]  # where it is installed, pytest finds it by itself
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed" in done.stdout
    assert "latency, batch 1" in done.stdout
    assert "allowed +1" in done.stdout
    assert "there is no file absent.onnx" in done.stdout
