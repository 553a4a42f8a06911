"""The fixture from the wheel, in somebody's project whose folders have the names of ours."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import onnx
import pytest

from tests.layers import layers_alone

ROOT = Path(__file__).parents[3]
PACKAGED = ("compressor", "detection", "export", "bench", "pyproject.toml", "README.md", "LICENSE")
BUILD = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
TESTS = """
import compressor

OPTIONS = dict(threads=1, processes=2, seconds=0.2)

def test_installed():
    assert "site-packages" in compressor.__file__

def test_faster(latency_gate):
    found = latency_gate("small.onnx", against="large.onnx", max_regression=0.05, **OPTIONS)
    assert found["verdict"] == "pass"

def test_slower(latency_gate):
    latency_gate("large.onnx", against="small.onnx", max_regression=0.1, **OPTIONS)

def test_absent(latency_gate):
    latency_gate("absent.onnx", against="small.onnx")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it from a copy, since a build leaves things beside its sources."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-c", BUILD], cwd=source, check=True, capture_output=True)
    (made,) = (source / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that has the wheel of its own and borrows the libraries."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", packages, wheel], check=True, capture_output=True)
    borrowed = [path for path in sys.path if path.endswith("-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed))
    return home / "bin" / "python"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    onnx.save(layers_alone((3, 32, 32), 1), tmp_path / "small.onnx")
    onnx.save(layers_alone((3, 32, 32), 3), tmp_path / "large.onnx")
    (tmp_path / "test_latency.py").write_text(TESTS)
    for name in ("bench", "export", "detection"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('mine')\n")
    return tmp_path


def test_the_fixture_passes_fails_and_says_why(project: Path, python: Path) -> None:
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=project, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed" in done.stdout, done.stdout
    assert "latency, batch 1, p50" in done.stdout
    assert "allowed +1" in done.stdout
    assert "there is no file absent.onnx" in done.stdout
