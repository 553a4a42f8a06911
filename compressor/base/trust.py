"""Whose code may run: a factory is imported where the user names it, and never because a file says so.

Free of torch, because processes that only time a file need to know it, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from compressor.base.errors import ArtifactError
from compressor.base.text import foreign


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose code an artifact may bring in.

    Attributes:
        factories: names that the user gave.
        everything: whatever a manifest names.
    """

    factories: frozenset[str] = frozenset()
    everything: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Return trust in those of ``names`` that are factories."""
        return cls(factories=frozenset(name for name in names if ":" in name))

    def require(self, name: str, where: str) -> None:
        """Refuse an architecture whose constructor only a file names.

        Raises:
            ArtifactError: it is a factory that nobody but the file named.
        """
        if ":" not in name or self.everything or name in self.factories:
            return
        module, _, attribute = foreign(name).partition(":")
        raise ArtifactError(
            f"{where} is built by code: it would import {module} and call {attribute}",
            f"if that is yours or you have read it, give --trust-code (in Python: trust=Trust.of"
            f"([{foreign(name)!r}])); nothing was imported.",
        )


NOBODY: Final = Trust()
