"""Our own packages. Their names are common, and a user's folder may hold others of the same names.

The command line imports ours first, so that an ``import export`` in a user's module gets ours, with a message
of Python's that speaks of neither. What was meant is told here.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import compressor

OWN: Final = ("bench", "detection", "export")
"""Our packages beside ``compressor``."""

RENAME: Final = (
    f"compressor, {', '.join(OWN[:-1])} and {OWN[-1]} are packages of compress itself and are found before "
    "others of these names: rename yours and what imports it, for instance to my_{name}."
)
"""A hint, with a place for the name of a package."""


def own_package(module: str) -> str | None:
    """Return which of our packages a dotted name lies in, going by the name alone."""
    package = module.partition(".")[0]
    return package if package in (*OWN, "compressor") else None


def shadowed(error: BaseException) -> str | None:
    """Return which of our packages, found in the place of another, an import or a lookup failed in.

    A user's own package of that name, if it was imported after all, is none of ours.
    """
    if isinstance(error, ImportError):
        name = error.name or ""
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    else:
        return None
    package = own_package(name)
    return package if package and _is_ours(package) else None


def _is_ours(package: str) -> bool:
    home = Path(compressor.__file__).resolve().parent.parent
    file = getattr(sys.modules.get(package), "__file__", None)
    return file is not None and Path(file).resolve().parent.parent == home
