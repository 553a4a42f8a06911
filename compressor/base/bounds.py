"""How much may be asked for: sizes are estimated and compared with the machine before they are allocated."""

import os

from compressor.base.errors import UsageError


def memory_bytes() -> int:
    """Return the machine's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(needed_bytes: int, what: str, hint: str) -> None:
    """Refuse what could not be held in memory.

    Raises:
        UsageError: it needs more than the machine has.
    """
    needed, there = needed_bytes / 2**30, memory_bytes() / 2**30
    if needed > there:
        raise UsageError(f"{what} would take {needed:,.1f} GiB, this machine has {there:.1f}", hint)
