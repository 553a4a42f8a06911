"""Runtimes, one file each: a registry of backends that open a file and run it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from compressor.base.device_names import check_device
from compressor.base.errors import BackendMissingError, UsageError
from compressor.base.registry import Registry
from compressor.base.trust import NOBODY, Trust
from export.session import Array, Feed, Session, Spinning

__all__ = [
    "BACKENDS", "Array", "Backend", "Feed", "Session", "SessionOptions", "Spinning", "check_device",
    "file_suffixes", "require_device", "usual_backends",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Where a model runs.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: intra-op threads on the CPU; None leaves the choice to the runtime.
        trust: whose factories an artifact may bring in.
        spinning: ``default`` is the runtime's own habit. ``stopped`` asks that idle threads give up their
            cores at the end of a call, which is fair where several sessions take turns; a session says
            whether it does.

    Raises:
        UsageError: an unknown device, or fewer than one thread.
    """

    device: str = "cpu"
    threads: int | None = None
    trust: Trust = NOBODY
    spinning: Spinning = "default"

    def __post_init__(self) -> None:
        check_device(self.device)
        most = max(_MOST_THREADS, 4 * (os.cpu_count() or 1))
        if self.threads is not None and not 1 <= self.threads <= most:
            raise UsageError(
                f"cannot run on {self.threads} threads", f"give a number from 1 to {most}, or leave it out"
            )

    @property
    def cuda_index(self) -> int:
        """Number of the CUDA device, 0 where none was given."""
        return int(self.device.partition(":")[2] or 0)


class Backend(Protocol):
    """A runtime that may or may not be usable on this machine."""

    @property
    def name(self) -> str:
        """Name in the registry and in reports."""

    @property
    def suffix(self) -> str:
        """Suffix of the files that it opens, ``""`` for an artifact folder."""

    @property
    def usual(self) -> bool:
        """True for the one backend that opens such files where nobody asks for another."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions that it may be made of, by their names on PyPI; which are installed differs."""

    def missing(self, device: str) -> str | None:
        """Return why the runtime cannot use ``device`` here and what to install, or None if it can."""

    def open(self, model: Path, options: SessionOptions) -> Session:
        """Load a model.

        Raises:
            BackendMissingError: the device is not usable; there is no fallback to another one.
            UsageError: the file is missing or is not a model of this runtime.
        """


_MOST_THREADS: Final = 64  # more than any CPU of a small server has, and few enough to end

BACKENDS: Final[Registry[Backend]] = Registry("backend", "export.backends")


def usual_backends() -> dict[str, str]:
    """Return suffix -> name of the backend that opens such files where none is asked for."""
    backends = [BACKENDS.get(name) for name in BACKENDS]
    return {backend.suffix: backend.name for backend in backends if backend.usual}


def file_suffixes() -> frozenset[str]:
    """Return the suffixes of files, which are no artifact folders, that some backend opens."""
    return frozenset(BACKENDS.get(name).suffix for name in BACKENDS) - {""}


def require_device(backend: Backend, device: str) -> None:
    """Refuse a device that the backend cannot use.

    Raises:
        UsageError: there is no such device.
        BackendMissingError: with the backend's own reason.
    """
    check_device(device)
    reason = backend.missing(device)
    if reason is not None:
        raise BackendMissingError(
            f"backend {backend.name!r} cannot run on {device} here: {reason}",
            "install what is missing, or choose another --device or --backend (`compress doctor` lists them)",
        )
