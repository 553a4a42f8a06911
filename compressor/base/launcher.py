"""The tie between a worker and the launcher (``torchrun``) that started it; imports nothing heavy."""

import ctypes
import os
import signal
import sys
from functools import cache
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def launched() -> bool:
    """Say whether a launcher started this process as one of its workers."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def end_with_launcher() -> None:
    """Have Linux end this worker when its launcher is killed; a collective would wait for ever.

    A launcher that was killed before the system was asked is noticed by the worker's new parent.
    """
    if not launched() or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != _first_parent(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)


@cache
def _first_parent(process: int) -> int:
    """Return who was the parent when this was first asked in ``process``; a fork is another process."""
    return os.getppid()


_first_parent(os.getpid())
