"""Looks, fresh processes for what stays open, and what CI reads of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import xmlschema

from bench.gate.judge import Judged, judge
from bench.gate.report import Check, judged_to_json, junit, latency_check, markdown_table
from bench.gate.rule import Limits, Round


class Machine:
    """Rounds of a candidate that is slower by a share, with noise; counts how often it was started."""

    def __init__(self, change: float, spread: float) -> None:
        self.change, self.spread, self.started, self.closed = change, spread, 0, 0

    @contextmanager
    def start(self) -> Iterator[Iterator[Round]]:
        self.started += 1
        yield self._rounds(np.random.default_rng(self.started))
        self.closed += 1

    def _rounds(self, rng: np.random.Generator) -> Iterator[Round]:
        while True:
            baseline = 10 * float(np.exp(rng.normal(0, 0.3)))  # drift that both share
            ratio = (1 + self.change) * float(np.exp(rng.normal(0, self.spread)))
            yield {"baseline": (baseline,) * 3, "candidate": (baseline * ratio,) * 3}


def judged(change: float, spread: float) -> tuple[Judged, Machine]:
    machine = Machine(change, spread)
    return judge(machine.start, Limits(), on_open="pass")["p50"], machine


def test_what_is_clear_ends_early() -> None:
    found, machine = judged(0.0, 0.01)
    assert (found.verdict, found.weak, found.decision.rounds) == ("pass", False, 6)
    assert len(found.rounds) == 6
    assert (machine.started, machine.closed) == (1, 1)
    slow, _ = judged(0.3, 0.02)
    assert (slow.verdict, slow.weak) == ("fail", False)
    assert slow.candidate_ms / slow.baseline_ms == pytest.approx(1.3, rel=0.05)


def test_what_stays_open_is_measured_again_and_then_weak() -> None:
    machine = Machine(0.05, 0.3)
    found = judge(machine.start, Limits(), on_open="fail")["p50"]
    assert (machine.started, machine.closed) == (2, 2)
    assert (found.verdict, found.weak, found.decision.rounds) == ("fail", True, 36)
    assert latency_check(1, found, 1.0).outcome == "fail"
    assert "weak" in latency_check(1, found, 1.0).words
    lenient = judge(machine.start, Limits(), on_open="pass")["p50"]
    assert latency_check(1, lenient, 1.0).outcome == "undecided"


HOSTILE = 'a<script>"&\x1b[31m|`\n# x'


def test_junit_is_xml_with_the_counts_that_servers_read() -> None:
    checks = [
        Check(name=HOSTILE, outcome="fail", words=HOSTILE, seconds=1.5),
        Check(name="two", outcome="undecided", words="open", seconds=0.5),
        Check(name="three", outcome="pass", words="fine", seconds=0.0),
    ]
    suite = ElementTree.fromstring(junit(checks, HOSTILE))[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors", "time")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1", "errors": "0", "time": "2.000"}
    cases = list(suite)
    assert [[child.tag for child in case] for case in cases] == [["failure"], ["skipped"], []]
    assert "\x1b" not in junit(checks, HOSTILE)
    assert all(case.get("classname") and case.get("name") and case.get("time") for case in cases)


SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


def test_junit_is_valid_for_the_schema_of_ci_servers() -> None:
    checks = [latency_check(1, judged(change, spread)[0], 1.23456) for change, spread in CASES]
    assert [check.outcome for check in checks] == ["pass", "fail", "undecided"]
    SCHEMA.validate(junit(checks, HOSTILE))
    SCHEMA.validate(junit([], "nothing"))


CASES = [(0.0, 0.01), (0.3, 0.02), (0.05, 0.3)]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (' errors="0"', ""),
        ('tests="1"', 'tests="many"'),
        ('time="1.235"', 'time="1.2345"'),
        ("<skipped ", "<passed "),
        (' classname="compress.gate"', ""),
    ],
)
def test_the_schema_refuses_what_servers_refuse(right: str, wrong: str) -> None:
    text = junit([latency_check(1, judged(0.05, 0.3)[0], 1.23456)], "one")
    assert right in text
    assert not SCHEMA.is_valid(text.replace(right, wrong))


def test_markdown_is_one_row_per_check_whatever_the_names() -> None:
    text = markdown_table([Check(name=HOSTILE, outcome="fail", words=HOSTILE, seconds=0)], HOSTILE)
    lines = text.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("| ")
    assert "<script>" not in text.replace(r"\<script\>", "")


def test_json_keeps_every_round() -> None:
    found, _ = judged(0.0, 0.01)
    document = judged_to_json(found)
    assert document["verdict"] == "pass"
    assert len(document["samples_ms"]) == document["rounds"] == 6
    first = document["samples_ms"][0]
    assert document["ratios"][0] == pytest.approx(math.log(first["candidate"][0] / first["baseline"][0]))
    assert document["low"] <= document["change"] <= document["high"] < document["limit"]
