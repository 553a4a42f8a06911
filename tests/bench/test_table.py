import io

from rich.console import Console

from bench.comparison import BenchReport
from bench.table import describe, render


def printed(report: BenchReport, width: int = 140) -> str:
    file = io.StringIO()
    Console(width=width, file=file).print(render(report))
    return file.getvalue()


def test_the_table_says_what_may_be_said(report: BenchReport) -> None:
    text = printed(report)
    dense, pruned, twin = (line for line in text.splitlines() if line.split()[:1] == ["4"])
    assert "baseline" in dense
    assert "faster" in pruned
    assert "no difference" in twin
    assert "x, " not in twin


def test_notes_name_the_results_they_hold_for(report: BenchReport) -> None:
    text = printed(report)
    assert "inputs are synthetic" in text
    assert "p99 rests on fewer than 100 calls: dense (batch 4), pruned (batch 4), twin (batch 4)" in text


def test_the_first_model_is_the_baseline() -> None:
    assert describe(None) == "baseline"


def test_names_and_verdicts_survive_a_narrow_terminal(report: BenchReport) -> None:
    text = printed(report, width=80)
    assert all(word in text for word in ("dense", "pruned", "twin", "faster", "no difference"))
    assert "…" not in text
