"""What all tests share: where the real data is, how many threads to use, and exported graphs."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from tests import exported, zygote

REPOSITORY = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Make one folder for the graphs of all workers, who inherit its name, and of their commands."""
    if exported.FOLDER not in os.environ:
        folder = os.environ[exported.FOLDER] = tempfile.mkdtemp()
        config.add_cleanup(lambda: shutil.rmtree(folder))
    exported.share()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Two workers on two cores: more threads would only wait for each other."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the subprocesses that tests start


@pytest.fixture
def own_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this test and its commands export for themselves, whatever others have exported."""
    assert isinstance(torch.onnx.export, exported.Kept)
    monkeypatch.delenv(exported.FOLDER)
    monkeypatch.setattr(torch.onnx, "export", torch.onnx.export.exporter)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with golden vectors, real data and published weights; tests that need it skip without."""
    folder = Path(os.environ.get("COMPRESS_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the shared folder with data and weights beside the repository")
    return folder


@pytest.fixture(scope="session")
def harness() -> zygote.Harness:
    """Commands that can be started, disturbed and waited for."""
    return zygote.harness()
