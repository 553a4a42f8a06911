"""One owner per output: a second process that would write the same file or folder is told who is at it."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from compressor.base.errors import UsageError
from compressor.base.files import PREFIX, lock, writing

_ORPHANS_S: Final = 10.0
"""Workers that load data hold the lock of a killed parent until they notice, within five seconds."""


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """Own a file or folder, which need not exist, while the block lasts.

    Raises:
        UsageError: another process owns it; it is named.
        CompressError: the folder around it cannot be written.
    """
    file = path.parent / f"{PREFIX}{path.name}.lock"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquired(file, path)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _acquired(file: Path, path: Path) -> int:
    patience = time.monotonic() + _ORPHANS_S
    while True:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644))
        descriptor = lock(file)
        if descriptor is not None:
            _sign(file, descriptor)
            return descriptor
        # No holder: it has just let go, or has not written its number yet. A dead one: its orphans hold it.
        holder = _holder(file)
        if (holder is not None and _alive(holder)) or time.monotonic() > patience:
            who = f"process {holder}" if holder else "another process"
            raise UsageError(
                f"{path} is being written by {who}",
                "wait until that has ended, or choose another -o.",
            )
        time.sleep(0.05)


def _sign(file: Path, descriptor: int) -> None:
    """Write into a lock who holds it; a full disk that refuses even that is left without the lock."""
    try:
        file.write_text(f"{os.getpid()}")
    except OSError:
        file.unlink(missing_ok=True)
        os.close(descriptor)
        raise


def _holder(file: Path) -> int | None:
    """Return the process that says it holds a lock, None where there is no such file or it is still empty."""
    try:
        return int(file.read_text() or "0") or None
    except (OSError, ValueError):
        return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
