"""Architectures: how to build a model from its name, what it takes, and how its rate strings are read.

One file per family. Models are plain: no constructor knows that it will be pruned.
"""

from collections.abc import Iterable
from typing import Protocol

from compressor.base.errors import UsageError
from compressor.base.registry import Registry, unknown_name
from compressor.base.trust import NOBODY, Trust
from compressor.zoo.architecture import Architecture
from compressor.zoo.factory import from_factory

__all__ = ["FAMILIES", "NOBODY", "Architecture", "Family", "Trust", "find", "known_names"]


class Family(Protocol):
    """A set of architectures that are built alike."""

    def names(self) -> Iterable[str]:
        """Return the names of all members."""

    def architecture(self, name: str) -> Architecture:
        """Return the member of that name."""


FAMILIES: Registry[Family] = Registry("architecture family", "compressor.zoo")


def known_names() -> list[str]:
    """Return every architecture's name, sorted."""
    return sorted({name for family in FAMILIES for name in FAMILIES.get(family).names()})


def find(name: str) -> Architecture:
    """Return the architecture called ``name``: of a family, or ``package.module:factory``.

    Raises:
        UsageError: there is none; close names are suggested.
    """
    if ":" in name:
        return from_factory(name)
    for family in FAMILIES:
        if name in FAMILIES.get(family).names():
            return FAMILIES.get(family).architecture(name)
    raise _not_found(name)


def _not_found(name: str) -> UsageError:
    error = unknown_name("model", name, known_names())
    close = f"{error.hint} " if error.hint.startswith("did you mean") else ""
    hint = f"{close}list all with: compress models. A model of your own is package.module:factory."
    return UsageError(error.message, hint)
