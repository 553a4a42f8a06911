"""The study of the gate: what its section counts, and that it goes on where it was stopped."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.studies.gate import run
from bench.studies.gate.page import text


def gate(kind: str, number: int, verdict: str) -> dict[str, Any]:
    return {
        "kind": kind, "number": number, "verdict": verdict, "busy": bool(number % 2), "change": 0.0,
        "low": 0.0, "high": 0.0, "rounds": 6 + number, "seconds": 2.0 + number, "load": 0.1,
    }  # fmt: skip


def test_the_section_counts_what_was_wrong_and_what_was_caught() -> None:
    same = [gate("same", number, verdict) for number, verdict in enumerate(("pass", "fail", "pass"))]
    slower = [gate("slower", number, verdict) for number, verdict in enumerate(("fail", "undecided"))]
    slowdown = {"value": 0.1, "low": 0.09, "high": 0.11}
    shown = text({"gates": same + slower, "slowdown": slowdown, "threads": 1, "environment": {}})
    assert "Wrongly failed: 1 of 3; caught: 1 of 2; undecided: 1 of 5." in shown
    assert "takes 10.0% longer\n(95 % interval 9.0% to 11.0%" in shown
    assert "| the same file | quiet | 2 | 2 | 0 | 0 | 7 | 8 | 3.0 | 4 |" in shown
    assert "| a slower file | busy | 1 | 0 | 0 | 1 | 7 | 7 | 3.0 | 3 |" in shown


def test_a_study_that_was_stopped_makes_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def stopped(kind: str, paths: object, *, busy: bool, threads: int) -> dict[str, Any]:
        if len(made) == 3:
            made.append("")
            raise KeyboardInterrupt
        made.append(kind)
        return {"verdict": "pass", "busy": busy}

    monkeypatch.setattr(run, "_files", lambda folder: {})
    monkeypatch.setattr(run, "_slowdown", lambda paths, threads: {"value": 0.1, "low": 0.1, "high": 0.1})
    monkeypatch.setattr(run, "_gate", stopped)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["run", "--gates", "3", "--work", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        run.main()
    assert not (tmp_path / "results.json").exists()
    run.main()
    gates = json.loads((tmp_path / "results.json").read_text())["gates"]
    expected = [(kind, number, bool(number % 2)) for number in range(3) for kind in ("same", "slower")]
    assert [(one["kind"], one["number"], one["busy"]) for one in gates] == expected
    assert len(made) == 1 + len(gates)
    assert not (tmp_path / "progress.json").exists()
