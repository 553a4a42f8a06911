"""Files and folders that exist whole or not at all.

Content is written under a temporary name beside its place, flushed to the disk and renamed. Temporary names
begin with ``.compress-`` and their file or folder is locked by the process that writes it: a kill releases
the lock, which is how a later start tells what is dead and may be removed.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from compressor.base.errors import CompressError, UsageError
from compressor.base.text import foreign

PREFIX: Final = ".compress-"
"""How temporary files and folders begin, wherever they are."""

_TRIES: Final = 100


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file, replacing what is there; the folder is created where it is missing.

    Raises:
        CompressError: it cannot be written; what was there before is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path) as draft:
        draft.write_bytes(data)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write a file, in a folder of its own, that becomes ``path`` when the block ends well.

    Raises:
        CompressError: it cannot be written; what was there before is still there.
    """
    with drafts(path) as folder:
        yield folder / path.name
        publish(folder / path.name, path)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``path``, which is free, when the block ends well.

    Raises:
        CompressError: it cannot be written; nothing is left behind.
    """
    with drafts(path) as folder:
        draft = folder / path.name
        draft.mkdir()
        yield draft
        publish(draft, path)


@contextlib.contextmanager
def drafts(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it vanishes with the block. Dead ones are removed first.

    Raises:
        CompressError: for every error of the file system inside the block.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            yield folder


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a temporary folder among the system's; dead ones of earlier runs are removed first.

    Raises:
        CompressError: the temporary folder cannot be written.
    """
    place = Path(tempfile.gettempdir())
    with writing(place), temporary_folder(place) as folder:
        yield folder


def user_cache(kind: str) -> Path:
    """Return the user's folder for what can be made again; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "compress" / kind


def file_digest(*paths: Path) -> str:
    """Return the sha256 of the files' contents, one after the other, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the file system into sentences about ``path``.

    Raises:
        CompressError: for every ``OSError`` of the block.
    """
    try:
        with named(path):
            yield
    except OSError as error:
        raise CompressError(
            f"cannot write {path}: {error.strerror or error}",
            "free some space, check the permissions, or choose another place.",
        ) from error


@contextlib.contextmanager
def named(name: object) -> Iterator[None]:
    """Turn a name that no file can have, which is found where one first asks for it, into a sentence.

    Raises:
        UsageError: a part of the name is too long for the file system.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(f"{foreign(name)}: {error.strerror}", "check the path.") from error


def exists(path: Path) -> bool:
    """Say whether there is something at a path that a user typed.

    Raises:
        UsageError: no file can have that name.
    """
    with named(path):
        return path.exists()


def require_free(path: Path, option: str = "-o") -> None:
    """Refuse a path at which there is something.

    Args:
        path: that a user typed.
        option: behind which.

    Raises:
        UsageError: there is, or no file can have that name.
    """
    if exists(path):
        raise UsageError(f"{foreign(path)} exists", f"choose another {option}, or remove it first.")


def publish(draft: Path, path: Path) -> None:
    """Flush a finished file or folder to the disk and move it to its place."""
    for file in sorted(draft.rglob("*")) if draft.is_dir() else [draft]:
        _flush(file)
    os.replace(draft, path)
    _flush(path.parent)


@contextlib.contextmanager
def temporary_folder(place: Path) -> Iterator[Path]:
    """Yield a locked temporary folder in ``place``; it vanishes with the block."""
    remove_dead(place)
    folder, descriptor = _locked_folder(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_dead(place: Path) -> None:
    """Remove temporary files and folders in ``place`` whose process is gone."""
    for path in place.glob(f"{PREFIX}*"):
        descriptor = lock(path)
        if descriptor is None:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock of an existing file or folder, None where another holds it.

    The lock goes with the descriptor, or with the process.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):  # another process holds it, or has just removed it
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            return descriptor
    os.close(descriptor)
    return None


def _locked_folder(place: Path) -> tuple[Path, int]:
    """Make a folder and lock it; another process that takes it for dead in between only costs a try."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        descriptor = lock(folder)
        if descriptor is not None:
            return folder, descriptor
        shutil.rmtree(folder, ignore_errors=True)
    raise OSError(f"no temporary folder can be locked in {place}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
