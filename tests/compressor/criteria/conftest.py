import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Vectors = dict[str, NDArray[np.generic]]
ReadVectors = Callable[[str], Vectors]


@pytest.fixture(scope="session")
def golden() -> ReadVectors:
    """Return a reader of the vectors that the authors' programs produced."""
    shared = Path(os.environ.get("COMPRESS_SHARED", Path(__file__).parents[4] / "shared"))
    folder = shared / "golden" / "vectors"
    if not folder.is_dir():
        pytest.skip(
            f"golden vectors are not at {folder}; set COMPRESS_SHARED to the folder that holds golden/"
        )
    return lambda name: dict(np.load(folder / f"{name}.npz"))
