"""A gate's result as CI servers read it: JUnit, Markdown, JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from bench.gate.documents import Compared
from bench.gate.judge import Judged
from bench.gate.rule import Decision
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
        f"{_change(decision)}, {decision.rounds} rounds"
    )
    if judged.weak:
        words += f"; the rule left it open, so this {judged.verdict} is weak"
    return Check(
        name=f"latency, batch {batch}, {judged.metric}", outcome=_outcome(judged), words=words,
        seconds=seconds,
    )  # fmt: skip


def document_check(compared: Compared) -> Check:
    """Return what two documents say of a model: ratios, and no milliseconds."""
    words = (
        f"{significant(compared.after)} of its baseline's time against {significant(compared.before)}: "
        f"{_change(compared.decision)}, {compared.decision.rounds} rounds; of stored documents, which is "
        "weaker than a gate in one job"
    )
    if compared.weak:
        words += f"; left open, so this {compared.verdict} is weaker still"
    name = f"latency, {compared.key}, {compared.metric}"
    return Check(name=name, outcome=_outcome(compared), words=words, seconds=0.0)


def _change(decision: Decision) -> str:
    interval = f"({decision.low:+.1%}..{decision.high:+.1%})"
    return f"{decision.change:+.1%} {interval}, allowed {decision.limit:+.1%}"


def _outcome(found: Judged | Compared) -> Outcome:
    return "undecided" if found.weak and found.verdict == "pass" else found.verdict


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
            ElementTree.SubElement(case, "failure", message=foreign(check.words, 400), type="regression")
        if check.outcome == "undecided":
            ElementTree.SubElement(case, "skipped", message=foreign(check.words, 400))
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
    """Return a judged latency with its rounds; see `compared_to_json`."""
    return _figures(judged) | {
        "baseline_ms": judged.baseline_ms, "candidate_ms": judged.candidate_ms,
        "samples_ms": [{name: list(times) for name, times in one.items()} for one in judged.rounds],
    }  # fmt: skip


def compared_to_json(compared: Compared) -> dict[str, Any]:
    """Return what two documents say of a model.

    ``change``, ``low``, ``high`` and ``limit`` are shares, 0.05 for 5 % slower; ``ratios`` holds r of each
    round, ln(candidate / baseline) of the metric, in the order measured; of two documents, how much larger
    than the old one's mean.
    """
    key = compared.key
    return {"model": key.model, "backend": key.backend, "batch": key.batch} | _figures(compared) | {
        "before": compared.before, "after": compared.after,
    }  # fmt: skip


def _figures(found: Judged | Compared) -> dict[str, Any]:
    decision = found.decision
    return {
        "metric": found.metric, "verdict": found.verdict, "weak": found.weak, "change": decision.change,
        "low": decision.low, "high": decision.high, "limit": decision.limit, "rounds": decision.rounds,
        "detectable": found.detectable, "ratios": list(found.ratios),
    }  # fmt: skip


def _count(checks: Sequence[Check], outcome: Outcome) -> int:
    return sum(check.outcome == outcome for check in checks)
