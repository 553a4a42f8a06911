"""Data sets in COCO's format on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.detection.coco_factory import write_coco


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., str]:
    """Write a small data set with ``write_coco``'s options and return what stands after ``coco:``."""
    return lambda **options: str(write_coco(tmp_path / "small", **options))


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")
