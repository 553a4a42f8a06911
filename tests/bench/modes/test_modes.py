"""Every registered mode against the real runtime, and what each of them promises."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.candidates import Candidate
from bench.document import report_from_json, report_to_json
from bench.halt import Halt
from bench.job import Job, Load
from bench.measure import MeasureSettings
from bench.modes import MODES, throughput
from bench.modes.throughput import GAIN
from bench.queries import needed
from bench.results import BenchResult, BenchSettings
from bench.run import carry_out
from bench.statistics import throughput_per_s
from compressor.base.errors import UsageError
from export.backends import SessionOptions

MakeCandidate = Callable[[str, int], Candidate]
LOADS = {"server": Load(rate_per_s=4000, queries=needed())}
QUICK = MeasureSettings(budget_s=0.05)


def job(*models: Candidate, **changes: Any) -> Job:
    usual = Job(models=models, backend="onnxruntime", options=SessionOptions(threads=1), settings=QUICK)
    return replace(usual, **changes)


@pytest.mark.parametrize("mode", [*MODES])
def test_every_mode_leaves_a_document_that_can_be_read(candidate: MakeCandidate, mode: str) -> None:
    asked = job(candidate("long", 3), candidate("short", 1), load=LOADS.get(mode, Load()), batches=(1,))
    report = carry_out(asked, mode)
    assert {found.model for found in (*report.results, *report.served)} == {"long", "short"}
    assert (report.mode, report.scenario) == (mode, MODES.get(mode).scenario)
    assert report.scenario in {"SingleStream", "Offline", "Server"}  # as MLPerf Inference calls them
    assert not report.partial
    assert report.conditions is not None
    assert report_from_json(json.loads(json.dumps(report_to_json(report), allow_nan=False))) == report
    assert "long" in str(report)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in LOADS])
def test_a_load_is_refused_where_there_is_no_server(candidate: MakeCandidate, mode: str) -> None:
    with pytest.raises(UsageError, match="--p99-ms is for a server"):
        carry_out(job(candidate("m", 1), load=Load(p99_ms=5)), mode)


@pytest.mark.parametrize("mode", [*MODES])
def test_what_comes_before_an_interruption_is_kept(candidate: MakeCandidate, mode: str) -> None:
    """The last model of the last thing told is where it comes."""
    halt = Halt(by=(KeyboardInterrupt,))
    told: list[str] = []

    def say(words: str) -> None:
        told.append(words)
        if len(told) == 2:
            raise KeyboardInterrupt

    models = (candidate("long", 3), candidate("short", 1))
    asked = job(*models, load=LOADS.get(mode, Load()), batches=(1, 2, 3), say=say, halt=halt)
    report = carry_out(asked, mode)
    assert report.partial
    assert report.results or report.served
    assert len({r.settings.batch for r in report.results}) < 3
    assert report_from_json(report_to_json(report)).partial


def test_several_sessions_stop_spinning_and_one_keeps_the_runtimes_habit(candidate: MakeCandidate) -> None:
    models = (candidate("long", 3), candidate("short", 1))
    several = carry_out(job(*models, batches=(1,)))
    alone = carry_out(job(models[0], batches=(1,), options=SessionOptions(threads=2)))
    assert {r.settings.spinning for r in several.results} == {"stopped"}
    assert [r.settings.spinning for r in alone.results] == ["default"]
    assert len(alone.results[0].settings.placement) == 1  # two threads: the caller's and one that it started


def pretend_rates(monkeypatch: pytest.MonkeyPatch, per_s: dict[int, dict[str, float]]) -> list[int]:
    """Let a batch of every model take as long as its rate says; return the batches that were measured."""
    measured: list[int] = []

    def interleaved(run: Any, batch: int) -> list[BenchResult]:
        measured.append(batch)
        if batch not in per_s:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 8")
        return [_result(model, batch, 1e3 * batch / rate) for model, rate in per_s[batch].items()]

    monkeypatch.setattr(throughput, "interleaved", interleaved)
    return measured


def _result(model: str, batch: int, ms: float) -> BenchResult:
    settings = BenchSettings(
        backend="onnxruntime", device="cpu", precision="fp32", threads=1, batch=batch, blocks=8,
        runs_per_block=1, warmup_runs=10, discarded_runs=2, gap_ms=30, budget_s=1,
    )  # fmt: skip
    return BenchResult(
        model=model, digest="", settings=settings, samples_ms=((ms,),) * 8, environment={"cpu": "abacus"}
    )


def test_the_sweep_ends_where_no_model_gains(
    candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = (candidate("a", 1), candidate("b", 1))
    rates = {
        1: {"a": 100.0, "b": 100.0},
        2: {"a": 100 * (1 + GAIN) - 1, "b": 150.0},  # a gains too little, b goes on
        4: {"a": 90.0, "b": 200.0},
        8: {"a": 300.0, "b": 203.0},  # a had its chance
        16: {"a": 1.0, "b": 1.0},
    }
    measured = pretend_rates(monkeypatch, rates)
    report = carry_out(job(*models), "throughput")
    assert measured == [1, 2, 4, 8]
    best = {result.model: result.settings.batch for result in report.best()}
    assert best == {"a": 8, "b": 8}
    assert [(c.model, c.batch) for c in report.comparisons] == [("b", 1), ("b", 2), ("b", 4), ("b", 8)]


def test_the_sweep_ends_with_memory_and_says_so(
    candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = pretend_rates(monkeypatch, {1: {"a": 100.0}, 2: {"a": 150.0}})
    report = carry_out(job(candidate("a", 1)), "throughput")
    assert measured == [1, 2, 4]
    assert "the sweep ends before batch 4: memory ran out" in report.notes
    assert {result.settings.batch for result in report.results} == {1, 2}


def test_a_batch_for_which_there_may_be_too_little_memory_is_not_tried(
    candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = pretend_rates(monkeypatch, {1: {"a": 100.0}, 2: {"a": 150.0}, 4: {"a": 200.0}})
    peaks = iter([100, 110, 110, 140])
    monkeypatch.setattr(throughput, "peak_memory_bytes", lambda: next(peaks))
    monkeypatch.setattr(throughput, "free_bytes", lambda: 100)
    report = carry_out(job(candidate("a", 1)), "throughput")
    assert measured == [1, 2]
    assert "the sweep ends before batch 4: there may be too little memory" in report.notes


def test_an_error_that_is_not_memory_is_none_of_the_sweeps(
    candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interleaved(run: Any, batch: int) -> list[BenchResult]:
        raise UsageError("the model refuses its input", "check it")

    monkeypatch.setattr(throughput, "interleaved", interleaved)
    with pytest.raises(UsageError, match="refuses"):
        carry_out(job(candidate("a", 1)), "throughput")


def test_a_model_of_one_image_ends_the_sweep(candidate: MakeCandidate) -> None:
    model = candidate("a", 1)
    model = replace(model, inputs=replace(model.inputs, max_batch=1))
    report = carry_out(job(model), "throughput")
    assert [r.settings.batch for r in report.results] == [1]
    assert "the sweep ends at 1 images a call: a model takes no more" in report.notes
    assert throughput_per_s(report.best()[0].samples_ms, 1) > 0


def test_a_server_is_measured_at_a_rate_and_searched(candidate: MakeCandidate) -> None:
    load = Load(rate_per_s=2000, p99_ms=1000, queries=needed())
    report = carry_out(job(candidate("a", 1), load=load), "server")
    at_rate, highest = report.served
    assert at_rate.settings.rate_per_s == 2000
    assert len(at_rate.samples_ms) == needed()
    (search,) = report.searches
    assert search.highest_per_s == highest.settings.rate_per_s
    assert search.probes[0].met
    assert search.highest_per_s <= 1e3 / search.call_ms  # one worker


def test_a_limit_below_a_call_needs_no_search(candidate: MakeCandidate) -> None:
    report = carry_out(job(candidate("a", 1), load=Load(p99_ms=1e-6)), "server")
    assert report.served == ()
    assert report.searches[0].probes == ()
    assert "a call takes" in str(report)


def test_a_p99_of_too_few_queries_is_refused_with_the_number_that_is_missing(
    candidate: MakeCandidate,
) -> None:
    with pytest.raises(UsageError, match="p99 of 600 queries says nothing: 62 are missing"):
        carry_out(job(candidate("a", 1), load=Load(rate_per_s=10, queries=600)), "server")


def test_a_server_needs_a_rate_or_a_limit(candidate: MakeCandidate) -> None:
    with pytest.raises(UsageError, match="needs queries"):
        carry_out(job(candidate("a", 1)), "server")


@pytest.mark.parametrize("wrong", [{"rate_per_s": 0.0}, {"p99_ms": float("nan")}, {"queries": 0}])
def test_numbers_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give a number"):
        Load(**wrong)


def test_an_overloaded_server_is_said_to_be_one(candidate: MakeCandidate) -> None:
    report = carry_out(job(candidate("a", 30), load=Load(rate_per_s=1e6, queries=needed())), "server")
    assert any("more queries come" in note for note in report.served[0].notes)
