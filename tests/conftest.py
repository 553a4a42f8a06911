"""What all tests share: where the real data is, and how many threads to use."""

import os
from pathlib import Path

import pytest
import torch

from tests import zygote

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Two workers on two cores: more threads would only wait for each other."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the subprocesses that tests start


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
