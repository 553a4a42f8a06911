"""What the process needs before and around a command: our own packages, signals, one worker that speaks."""

import contextlib
import fcntl
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import compressor
from compressor.base.errors import UsageError
from compressor.base.packages import OWN
from compressor.base.text import foreign

PARALLEL: Final = ("eval", "finetune")
"""Commands that share their work among the workers of torchrun."""

_RESUMABLE: Final = ("finetune", "inspect", "prune", "run")


class Interrupted(BaseException):
    """The user or the system wants the process to end; no handler of ordinary errors may catch it."""


def take_own_packages() -> None:
    """Import our packages before anything can import others of the same names from the current folder.

    Raises:
        UsageError: others were imported already.
    """
    home = str(Path(compressor.__file__).resolve().parent.parent)
    sys.path.insert(0, home)
    try:
        found = {name: importlib.import_module(name) for name in OWN}
    finally:
        sys.path.remove(home)
    for name, module in found.items():
        place = Path(str(module.__file__)).resolve().parent.parent
        if str(place) != home:
            raise UsageError(
                f"the package {name} in use lies in {foreign(place)} and is not ours, which lies in {home}",
                "start compress in a process of its own, before anything imports that package.",
            )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM inside the block into `Interrupted`, so that everything is cleaned up."""
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a worker that loads data inherited this, and ends as workers do
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Interrupted

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, interrupt) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def farewell(arguments: list[str]) -> str:
    """Return how to go on after an interruption."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command in _RESUMABLE:
        return "Interrupted. Run the same command again: finished epochs, stages and measurements are kept."
    return "Interrupted. Nothing was written; run the command again."


def speaks() -> bool:
    """Say whether this worker prints results; under torchrun only the first does."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def last_words() -> Iterator[bool]:
    """Yield whether this worker tells how the command ended, as its first worker to end does.

    That may be any: torchrun ends the others as soon as one has failed, before they could say anything. It
    waits until what is told was told. Other launchers have no folder per start, and the first worker tells.
    """
    told = _told()
    if told is None:
        yield speaks()
        return
    fcntl.flock(told, fcntl.LOCK_EX)
    try:
        yield os.fstat(told).st_size == 0
        os.write(told, b"told")
    finally:
        os.close(told)


def _told() -> int | None:
    """Open the file that is not empty once a worker of this start has had its last words."""
    report = os.environ.get("TORCHELASTIC_ERROR_FILE")  # one per worker, in one folder per start
    if not report:
        return None
    with contextlib.suppress(OSError):
        return os.open(Path(report).parent.parent / "told", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    return None


def check_workers(command: str | None) -> None:
    """Refuse commands that every worker of torchrun would carry out once more.

    Raises:
        UsageError: there are several workers, and the command is not made for them.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1" and command not in PARALLEL:
        raise UsageError(
            f"compress {command} does not run under torchrun, whose workers would do the same each",
            f"run it without; torchrun is for {' and '.join(PARALLEL)}.",
        )
