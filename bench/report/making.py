"""From results to a report: every section that has something to say, in order."""

from collections.abc import Sequence

from bench.report.content import Report
from bench.report.facts import Result, joined
from bench.report.sections import SECTIONS
from compressor.base.errors import UsageError


def make_report(results: Sequence[Result], title: str) -> Report:
    """Return the report of results.

    Raises:
        UsageError: there is none.
    """
    if not results:
        raise UsageError("there is nothing to report", "give documents of compress and artifact folders.")
    facts = joined(results)
    ordered = sorted((SECTIONS.get(name) for name in SECTIONS), key=lambda one: one.order)
    written = (one.section(facts, tuple(results)) for one in ordered)
    return Report(
        title=title, subtitle=_subtitle(results), sections=tuple(one for one in written if one),
        results=tuple(results),
    )  # fmt: skip


def _subtitle(results: Sequence[Result]) -> str:
    """Return the machines, graphics cards first: the one that counts where there is one."""
    machines = [result.facts.environment for result in results]
    found = [machine[name] for name in ("gpu0_name", "cpu") for machine in machines if name in machine]
    return ", ".join(dict.fromkeys(found))
