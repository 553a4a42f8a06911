import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.comparison import BenchReport, Comparison, compare_with_first
from bench.results import Probe, Search, Served, ServerSettings
from bench.statistics import Speedup, significant, verdict
from bench.table import render


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


def test_a_report_prints_as_lines(report: BenchReport) -> None:
    dense, pruned, *_ = (line for line in str(report).splitlines() if line.startswith("batch 4"))
    assert dense.endswith("baseline")
    assert "faster" in pruned
    assert report.notes[0] in str(report)


def test_names_and_verdicts_survive_a_narrow_terminal(report: BenchReport) -> None:
    text = printed(report, width=80)
    assert all(word in text for word in ("dense", "pruned", "twin", "faster", "no difference"))
    assert "…" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (1.5, "1.50"),
        (9.876, "9.88"),
        (9.999, "10.0"),
        (99.96, "100"),
        (123.4, "123"),
        (12345.6, "12,346"),
    ],
)
def test_every_figure_has_three_digits(value: float, text: str) -> None:
    assert significant(value) == text


def test_a_wide_interval_is_no_headline() -> None:
    measured = Speedup(value=32.85, low=3.28, high=95.56)
    comparison = Comparison(
        model="m", baseline="b", backend="onnxruntime", batch=1, speedup=measured, verdict=verdict(measured)
    )
    assert comparison.describe() == "too noisy to tell (3.28..95.56)"


def test_names_are_text(report: BenchReport) -> None:
    names = ("m[red]x", "a[/b]", ":two:\x1b[2J")
    results = tuple(replace(r, model=name) for r, name in zip(report.results, names, strict=True))
    text = printed(replace(report, results=results, comparisons=()))
    assert all(name in text for name in (*names[:2], ":two:\\x1b[2J"))
    assert "\x1b" not in text


def test_too_few_rounds_are_no_baseline(report: BenchReport) -> None:
    short = tuple(replace(result, samples_ms=result.samples_ms[:3]) for result in report.results)
    cut = replace(report, results=short, comparisons=compare_with_first(short, seed=0), partial=True)
    text = printed(cut)
    assert text.count("baseline") == 1
    assert text.count("too few rounds") == 2
    assert "interrupted: this is what was measured until then" in text


def test_a_sweep_names_the_best_batch(report: BenchReport) -> None:
    larger = tuple(
        replace(result, settings=replace(result.settings, batch=8), samples_ms=((1.0,) * 10,) * 8)
        for result in report.results
    )
    text = printed(replace(report, mode="throughput", results=report.results + larger))
    assert "best batch of dense: 8, 8,000 samples/s" in text


def test_a_server_has_a_table_of_its_own(report: BenchReport) -> None:
    settings = ServerSettings(
        backend="onnxruntime", device="cpu", precision="int8", threads=1, batch=1, rate_per_s=50.0,
        warmup_runs=10, seed=0, shapes=((3, 8, 8),), spinning="default", placement=(),
    )  # fmt: skip
    served = Served(model="a[/b]", digest="", settings=settings, samples_ms=(2.0,) * 700, notes=("busy",))
    probe = Probe(rate_per_s=70.0, queries=700, late=0)
    search = Search(
        model="a[/b]", backend="onnxruntime", batch=1, limit_ms=20.0, call_ms=2.0, probes=(probe,)
    )
    found = replace(report, mode="server", results=(), comparisons=(), served=(served,), searches=(search,))
    row = next(line for line in printed(found).splitlines() if "a[/b] (int8)" in line)
    assert row.split() == ["1", "a[/b]", "(int8)", "50.0", "2.00", "2.00", "2.00", "700"]
    assert "a[/b] (batch 1): p99 stays below 20 ms up to 70.0 queries/s" in printed(found)
    assert "busy: a[/b] (batch 1)" in printed(found)
    assert "50.0 queries/s, p50 2.00 ms, p99 2.00 ms" in str(found)
