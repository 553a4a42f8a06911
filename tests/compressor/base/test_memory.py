"""Freed memory leaves the process."""

import ctypes
import sys
from pathlib import Path

import pytest

from compressor.base.memory import trim


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc can be asked",
)
def test_memory_below_what_is_still_in_use_is_given_back() -> None:
    blocks = [bytearray(100_000) for _ in range(1000)]
    last = bytearray(100_000)
    blocks.clear()
    before = resident_mib()
    trim()
    assert resident_mib() < before - 50
    assert last
