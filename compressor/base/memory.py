"""Memory of this process."""

import ctypes
import sys


def trim() -> None:
    """Give memory that was freed back to the system, where the allocator can be asked to.

    glibc keeps up to 64 MiB in each of its arenas, of which there are eight per core, and every thread that
    allocates is given one.
    """
    if sys.platform == "linux":
        ask = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if ask is not None:
            ask(0)
