"""Kinds of result that a report is made from: one file each, which reads a document nobody vouched for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from bench.report.facts import Facts
from compressor.base.registry import Registry

Json = Mapping[str, Any]


class ResultKind(Protocol):
    """Reads one kind of document."""

    made_by: ClassVar[str]
    """Command that writes it, for the message about a document of no kind."""

    def claims(self, document: Json) -> bool:
        """Say whether a document is of this kind, by what only this kind has."""
        ...

    def facts(self, document: Json, where: Path) -> Facts:
        """Return what a document says.

        Raises:
            CompressError: a field is missing, malformed or contradicts another.
        """
        ...


RESULTS: Final[Registry[ResultKind]] = Registry("result", "bench.report.kinds")
