"""Where it was measured, and what: machines, versions, digests."""

from collections.abc import Mapping
from typing import ClassVar, Final

from bench.report.content import Column, Part, Section, Table, text_columns
from bench.report.facts import Facts, Result
from bench.report.sections import SECTIONS

_MOVING: Final = frozenset({"load_average_1min", "cpu_mhz"})
"""What differs from minute to minute on one machine."""

_SHA: Final = Column(name="sha256", code=True)


class Environment:
    """Every report has it: at least the results are named."""

    order: ClassVar[int] = 80

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return the machines, the models and the results."""
        parts: list[Part] = [*_machines(results)]
        if facts.digests:
            digests = tuple(dict.fromkeys((one.model, one.what, one.sha256) for one in facts.digests))
            parts.append(Table(title="Models", columns=(*text_columns("model", "what"), _SHA), rows=digests))
        rows = tuple((one.where, one.kind, one.sha256) for one in results)
        parts.append(Table(title="Results", columns=(*text_columns("result", "kind"), _SHA), rows=rows))
        lead = "What would have to be the same for the same figures, and digests of all that went in."
        return Section(name="environment", title="Environment and digests", lead=lead, parts=tuple(parts))


def _machines(results: tuple[Result, ...]) -> list[Table]:
    """Return a table per environment, with the results that come from it."""
    found: dict[tuple[tuple[str, str], ...], list[Result]] = {}
    for result in results:
        if result.facts.environment:
            found.setdefault(_fixed(result.facts.environment), []).append(result)
    return [_machine(own) for own in found.values()]


def _fixed(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in environment.items() if name not in _MOVING))


def _machine(results: list[Result]) -> Table:
    names = ", ".join(result.where for result in results)
    rows = tuple(results[0].facts.environment.items())
    return Table(title=f"Environment of {names}", columns=text_columns("what", "value"), rows=rows)


ENVIRONMENT = SECTIONS.register("environment")(Environment())
