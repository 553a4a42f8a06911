"""Extension points: a name -> object table filled by the files of one package.

The files are imported on first use, so that importing a registry costs nothing. Other distributions add
entries through entry points: group ``compress.<kind>``,
spaces written as underscores, for instance ``compress.criterion``.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from compressor.base.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named objects of one kind; a file of ``package`` adds one with ``@registry.register(name)``."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds an object under ``name``.

        Raises:
            ValueError: the name is taken.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises:
            UsageError: there is none; close names are suggested.
        """
        self._load()
        if name not in self._entries:
            raise unknown_name(self.kind, name, list(self))
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._entries

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for point in entry_points(group=f"compress.{self.kind.replace(' ', '_')}"):
            self._entries.setdefault(point.name, point.load())


def unknown_name(kind: str, name: str, known: list[str]) -> UsageError:
    """Return the error for a name that does not exist, with the closest names as a hint."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}."
    return UsageError(f"unknown {kind} {name!r}", hint)
