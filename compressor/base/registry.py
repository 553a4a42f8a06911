"""Extension points: a name -> object table filled by the files of one package.

The files are imported on first use, so that importing a registry costs nothing. Other distributions add
entries through entry points: group ``compress.<kind>``,
spaces written as underscores, for instance ``compress.criterion``. Whoever wants the names alone, a help
text for instance, reads them out of the files with `listed`.
"""

import ast
import difflib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from compressor.base.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named objects of one kind; a file of ``package`` adds one with ``@registry.register(name)``."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
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

    def alone(self, name: str) -> T:
        """Return the entry called ``name`` without importing files that register others.

        Raises:
            UsageError: there is none.
        """
        for file in _files(self.package):
            if name not in self._entries and name in _registered(ast.parse(file.read_text(encoding="utf-8"))):
                importlib.import_module(f"{self.package}.{_module(file)}")
        return self._entries[name] if name in self._entries else self.get(name)

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
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in _points(self.kind):
            self._entries.setdefault(point.name, point.load())


def listed(kind: str, package: str) -> dict[str, str]:
    """Return what a registry offers, sorted, without importing any of it.

    Args:
        kind: of the registry.
        package: whose files register names; each is read for ``register("NAME")``.

    Returns:
        Name -> how users write it: where its file begins with the name in double backquotes, what stands
        there, ``npz:FILE``; else the name.
    """
    written = {point.name: point.name for point in _points(kind)}
    for file in _files(package):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        written |= {name: _written(name, ast.get_docstring(tree) or "") for name in _registered(tree)}
    return dict(sorted(written.items()))


def _points(kind: str) -> EntryPoints:
    return entry_points(group=f"compress.{kind.replace(' ', '_')}")


def _files(package: str) -> list[Path]:
    """Return the files that a registry of a package imports; of the packages on the way none is imported."""
    top, *inner = package.split(".")
    spec = importlib.util.find_spec(top)
    homes = spec.submodule_search_locations if spec else None
    folders = [Path(home, *inner) for home in homes or ()]
    modules = [folder / name for folder in folders for _, name, _ in pkgutil.iter_modules([str(folder)])]
    return [path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in modules]


def _module(file: Path) -> str:
    return file.parent.name if file.name == "__init__.py" else file.stem


def _registered(tree: ast.Module) -> list[str]:
    """Return NAME of every ``X.register("NAME")``."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 1]
    return [
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "register"
        and isinstance(call.args[0], ast.Constant)
    ]


def _written(name: str, text: str) -> str:
    found = re.match(rf"``({re.escape(name)}\b[^`]*)``", text)
    return found[1] if found else name


def unknown_name(kind: str, name: str, known: list[str]) -> UsageError:
    """Return the error for a name that does not exist, with the closest names as a hint."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}."
    return UsageError(f"unknown {kind} {name!r}", hint)
