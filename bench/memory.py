"""How much memory is left for the next batch, and whether an error says that there was none."""

import re
from pathlib import Path
from typing import Final

from compressor.base.bounds import memory_bytes
from compressor.base.system import text_of

_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")
_WORDS: Final = (
    "out of memory",
    "outofmemory",
    "bad_alloc",
    "bad allocation",
    "defaultcpuallocator",
    "failed to allocate",
    "cudaerrormemoryallocation",
)
"""How runtimes say it, in lower case."""


def free_bytes() -> int:
    """Return what can still be allocated: of the machine, and of its container where that has a limit."""
    free = memory_bytes()
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text_of(_MEMINFO), re.MULTILINE)
    if found:
        free = int(found[1]) * 1024
    limit, used = (text_of(_CGROUP / name).strip() for name in ("memory.max", "memory.current"))
    return min(free, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else free


def ran_out(error: Exception) -> bool:
    """Say whether memory ran out, of the host or of the device."""
    said = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(words in said for words in _WORDS)
