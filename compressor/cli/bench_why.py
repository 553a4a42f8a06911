"""What ``compress bench --why`` adds: profiles where a speed-up is far under what the MACs promise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rich.table import Table

from bench.candidates import Candidate
from bench.comparison import BenchReport, Comparison
from bench.profile import table
from bench.profile.document import notes_of, profiles_to_json
from bench.profile.run import Profile, ProfileSettings, profiles_of
from bench.profile.runtimes import profiler_of
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.cli import output

FAR: Final = 0.8
"""A speed-up below this share of the reduction of MACs is looked into."""

_ROWS: Final = 12
Opened = Callable[[str, str], Candidate]
"""Name of a model and of a backend -> what that backend opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A speed-up that fell short.

    Attributes:
        comparison: what was measured.
        profiles: of the baseline and of the model, at the comparison's batch.
    """

    comparison: Comparison
    profiles: tuple[Profile, Profile]

    @property
    def fewer(self) -> float:
        """Multiply-adds of the baseline over those of the model; 1 where they are not known."""
        before, after = (one.macs for one in self.profiles)
        return before / after if before and after else 1.0

    def __str__(self) -> str:
        found = self.comparison
        return (
            f"{foreign(found.model)} at batch {found.batch}, {found.backend}: {self.fewer:.2f} times fewer "
            f"MACs than {foreign(found.baseline)}, {found.speedup.value:.2f} times as fast"
        )


def require(backends: Sequence[str], device: str) -> None:
    """Refuse what cannot be profiled, before anything is measured.

    Raises:
        UsageError: a backend cannot say the time of its nodes, or the device is no CPU.
    """
    for backend in backends:
        profiler_of(backend)
    if device != "cpu":
        raise UsageError(f"--why reads the time of nodes on the CPU, not on {device}", "leave out --device.")


def found(report: BenchReport, opened: Opened, settings: ProfileSettings) -> tuple[Finding, ...]:
    """Profile every comparison and return those that fell short.

    Args:
        report: what was measured.
        opened: gives the models again.
        settings: threads, seconds and seed; backend and batch are those of each comparison.
    """
    findings = [_finding(one, opened, settings) for one in report.comparisons]
    return tuple(one for one in findings if one.comparison.speedup.value < FAR * one.fewer)


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what a benchmark's document says of them, under ``why``: profiles of two models each."""
    return {"why": [profiles_to_json(one.profiles, {}) for one in findings]}


def tables(findings: Sequence[Finding]) -> list[str | Table]:
    """Return them for people."""
    shown: list[str | Table] = []
    for one in findings:
        shown += [str(one), *table.tables(one.profiles, _ROWS), *notes_of(one.profiles)]
    return shown or ["no speed-up is far under what its MACs promise"]


def _finding(comparison: Comparison, opened: Opened, settings: ProfileSettings) -> Finding:
    names = (comparison.baseline, comparison.model)
    asked = replace(settings, backend=comparison.backend, batch=comparison.batch)
    first, second = profiles_of([opened(name, asked.backend) for name in names], asked, output.say)
    return Finding(comparison=comparison, profiles=(first, second))
