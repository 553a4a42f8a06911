"""Sections of a report: one file each, a question that facts answer."""

from typing import ClassVar, Final, Protocol

from bench.report.content import Section
from bench.report.facts import Facts, Result
from compressor.base.registry import Registry


class ReportSection(Protocol):
    """Writes one section."""

    order: ClassVar[int]
    """Sections with smaller numbers come first."""

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return the section; None where nothing is known that it could show."""
        ...


SECTIONS: Final[Registry[ReportSection]] = Registry("report section", "bench.report.sections")
