"""A gate's result as CI servers read it: JUnit, Markdown, JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from bench.gate.judge import Judged, ratios_of
from bench.statistics import significant
from compressor.base.text import foreign, markdown

Outcome = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was gated.

    Attributes:
        name: what: ``latency, batch 1``.
        outcome: how it ended.
        words: figures and limit.
        seconds: that it took.
    """

    name: str
    outcome: Outcome
    words: str
    seconds: float


def latency_check(batch: int, judged: Judged, seconds: float) -> Check:
    """Return what a judged latency says."""
    decision = judged.decision
    words = (
        f"{significant(judged.candidate_ms)} ms against {significant(judged.baseline_ms)} ms: "
        f"{decision.change:+.1%} ({decision.low:+.1%}..{decision.high:+.1%}), allowed {decision.limit:+.1%}, "
        f"{decision.rounds} rounds"
    )
    if judged.weak:
        words += f"; the rule left it open, so this {judged.verdict} is weak"
    outcome: Outcome = "undecided" if judged.weak and judged.verdict == "pass" else judged.verdict
    return Check(name=f"latency, batch {batch}", outcome=outcome, words=words, seconds=seconds)


def junit(checks: Sequence[Check], title: str) -> str:
    """Return JUnit's XML; what is undecided is skipped, with the reason."""
    suite = ElementTree.Element(
        "testsuite", name=foreign(title), tests=str(len(checks)), errors="0",
        failures=str(_count(checks, "fail")), skipped=str(_count(checks, "undecided")),
        time=f"{sum(check.seconds for check in checks):.3f}",
    )  # fmt: skip
    for check in checks:
        about = {"classname": "compress.gate", "name": foreign(check.name), "time": f"{check.seconds:.3f}"}
        case = ElementTree.SubElement(suite, "testcase", about)
        if check.outcome == "fail":
            ElementTree.SubElement(case, "failure", message=foreign(check.words), type="regression")
        if check.outcome == "undecided":
            ElementTree.SubElement(case, "skipped", message=foreign(check.words))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def markdown_table(checks: Sequence[Check], title: str) -> str:
    """Return a heading and one row per check."""
    rows = [f"| {markdown(c.name)} | {_MARK[c.outcome]} | {markdown(c.words, 300)} |" for c in checks]
    head = [f"### {markdown(title)}", "", "| check | result | figures |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


_MARK = {"pass": "pass", "fail": "**FAIL**", "undecided": "undecided"}


def judged_to_json(judged: Judged) -> dict[str, Any]:
    """Return a judged latency with its rounds.

    ``change``, ``low``, ``high`` and ``limit`` are shares, 0.05 for 5 % slower; ``ratios`` holds r of each
    round, ln(candidate / baseline) of its medians, in the order measured.
    """
    decision = judged.decision
    return {
        "verdict": judged.verdict, "weak": judged.weak, "change": decision.change, "low": decision.low,
        "high": decision.high, "limit": decision.limit, "rounds": decision.rounds,
        "ratios": ratios_of(list(judged.rounds)),
        "baseline_ms": judged.baseline_ms, "candidate_ms": judged.candidate_ms,
        "detectable": judged.detectable,
        "samples_ms": [{name: list(times) for name, times in one.items()} for one in judged.rounds],
    }  # fmt: skip


def _count(checks: Sequence[Check], outcome: Outcome) -> int:
    return sum(check.outcome == outcome for check in checks)
