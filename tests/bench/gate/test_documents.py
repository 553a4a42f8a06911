"""Two stored documents: ratios against ratios, and nothing that was measured differently."""

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.comparison import BenchReport, compare_with_first
from bench.gate.documents import (
    CONDITIONS,
    Compared,
    Entry,
    Key,
    check_conditions,
    compare,
    differences,
    entries_of,
)
from bench.gate.report import compared_to_json, document_check
from bench.gate.rule import Limits, decide_between
from bench.results import BenchResult
from compressor.base.errors import UsageError

KEY = Key("pruned", "onnxruntime", 4)


def remade(
    report: BenchReport, times_ms: Mapping[str, float], noise: float = 0.01, seed: int = 1
) -> BenchReport:
    """Return the same models with other times."""
    rng = np.random.default_rng(seed)
    results = []
    for result in report.results:
        samples = times_ms.get(result.model, 10.0) * rng.lognormal(sigma=noise, size=(12, 10))
        results.append(replace(result, samples_ms=tuple(tuple(block) for block in samples.tolist())))
    return of(report, results)


def of(report: BenchReport, results: list[BenchResult]) -> BenchReport:
    return replace(report, results=tuple(results), comparisons=compare_with_first(results, seed=0))


def entries(report: BenchReport) -> dict[Key, Entry]:
    return entries_of(report, "a document")


def compared(new: BenchReport, old: BenchReport, metric: str = "p50") -> Compared:
    return compare(KEY, entries(new)[KEY], entries(old)[KEY], metric, Limits(), "pass")


def test_comparing_documents_needs_no_torch() -> None:
    script = "import sys, compressor.cli.gate_documents; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_machine_that_is_twice_as_slow_changes_nothing(report: BenchReport) -> None:
    old = remade(report, {"dense": 10, "pruned": 5})
    found = compared(remade(report, {"dense": 20, "pruned": 10}, seed=2), old)
    assert (found.verdict, found.weak) == ("pass", False)
    assert found.decision.change == pytest.approx(0, abs=0.01)
    assert (found.before, found.after) == (pytest.approx(0.5, rel=0.01), pytest.approx(0.5, rel=0.01))
    words = document_check(found).words
    assert "ms" not in words.split()
    assert "weaker than a gate in one job" in words


def test_a_model_that_is_slower_against_its_baseline_fails_on_a_faster_machine(report: BenchReport) -> None:
    old = remade(report, {"dense": 20, "pruned": 10})
    found = compared(remade(report, {"dense": 10, "pruned": 6}, seed=2), old)
    assert (found.verdict, found.weak) == ("fail", False)
    assert found.decision.change == pytest.approx(0.2, abs=0.01)
    document = compared_to_json(found)
    assert (document["model"], document["batch"], document["verdict"]) == ("pruned", 4, "fail")
    assert len(document["ratios"]) == document["rounds"] == 12
    assert math.exp(np.mean(document["ratios"])) == pytest.approx(1 + document["change"])
    assert document["limit"] < document["low"] <= document["change"] <= document["high"]
    assert not any(name.endswith("_ms") for name in document)


def test_noise_leaves_it_undecided(report: BenchReport) -> None:
    noisy = remade(report, {"dense": 10, "pruned": 5.2}, noise=0.5)
    found = compared(noisy, remade(report, {"dense": 10, "pruned": 5}, noise=0.5, seed=3))
    assert found.weak
    assert document_check(found).outcome == "undecided"
    assert found.detectable > 0.05


def test_the_interval_is_welchs() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.normal(0.1, 0.05, 9).tolist(), rng.normal(0, 0.02, 14).tolist()
    found = decide_between(new, old, math.log1p(0.05), 0.05)
    interval = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.90)
    assert math.log1p(found.low) == pytest.approx(interval.low, abs=2e-4)
    assert math.log1p(found.high) == pytest.approx(interval.high, abs=2e-4)
    assert decide_between([0.2] * 5, [0.1] * 5, math.log1p(0.05), 0.05).outcome == "fail"


def _other(report: BenchReport, condition: str) -> BenchReport:
    machine = {"cpu": "an abacus", "onnxruntime": "1", "gpu0_name": "none yet"}
    changed = {
        "cpu": machine | {"cpu": "a slide rule"},
        "runtime": machine | {"onnxruntime": "2"},
        "gpu": machine | {"gpu0_name": "T4"},
    }.get(condition, machine)
    settings = {
        "device": {"device": "cuda"},
        "precision": {"precision": "int8"},
        "threads": {"threads": 2},
        "input": {"shapes": ((3, 8, 8),)},
    }.get(condition, {})
    results = [
        replace(
            result, environment=changed, settings=replace(result.settings, **settings),
            digest="11" if condition == "baseline" and result.model == "dense" else result.digest,
        )
        for result in report.results
    ]  # fmt: skip
    return of(report, results[:2] if condition == "entries" else results)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_was_measured_differently_is_named_and_can_be_ignored(
    report: BenchReport, condition: str
) -> None:
    same, other = entries(_other(report, "nothing")), entries(_other(report, condition))
    assert differences(same, same) == {}
    found = differences(other, same)
    assert set(found) == {condition}
    check_conditions(found, [condition])
    with pytest.raises(UsageError, match=condition) as caught:
        check_conditions(found, [])
    assert f"--ignore {condition}" in caught.value.hint


def test_another_batch_size_is_another_entry(report: BenchReport) -> None:
    moved = [replace(r, settings=replace(r.settings, batch=8)) for r in report.results]
    words = differences(entries(of(report, moved)), entries(report))["entries"]
    assert "only NEW has pruned on onnxruntime, batch 8" in words
    assert "only OLD has pruned on onnxruntime, batch 4" in words


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (((1.0,),) * 4, "4 rounds"),
        (((1.0,),) * 7, "7 rounds, its baseline 8"),
        ((*((1.0,),) * 7, ()), "a round without calls"),
        ((), "0 rounds"),
    ],
)
def test_rounds_that_cannot_be_paired_are_refused(
    report: BenchReport, samples: tuple[tuple[float, ...], ...], words: str
) -> None:
    first, second, third = report.results
    with pytest.raises(UsageError, match=words):
        entries(replace(report, results=(first, replace(second, samples_ms=samples), third)))


def test_a_document_without_a_comparison_or_with_one_twice_is_refused(report: BenchReport) -> None:
    with pytest.raises(UsageError, match="only milliseconds"):
        entries(replace(report, results=report.results[:1]))
    with pytest.raises(UsageError, match="twice"):
        entries(replace(report, results=(*report.results, report.results[1])))


def test_times_that_no_model_has_are_refused(report: BenchReport) -> None:
    first, second, third = report.results
    for ms in (1e300, 5e-324):
        damaged = replace(second, samples_ms=((ms,) * 10,) * 8)
        with pytest.raises(UsageError, match="no model has"):
            entries(replace(report, results=(first, damaged, third)))


def test_percentiles_need_their_calls(report: BenchReport) -> None:
    assert compared(report, report, "p90").verdict == "pass"
    with pytest.raises(
        UsageError, match=r"p99 needs 299 calls of each model, and NEW: .* 80: 219 are missing"
    ):
        compared(report, report, "p99")
