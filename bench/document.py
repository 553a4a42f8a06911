"""The JSON form of a benchmark: raw samples, what follows from them, and where they were taken.

Figures that follow from samples (percentiles, throughput) are written for readers and recomputed on reading;
a verdict that does not follow from its interval is refused. So a document can never contradict itself.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from bench.comparison import BenchReport, Comparison
from bench.conditions import Conditions
from bench.results import BenchResult, BenchSettings, Fed, Search, Served
from bench.statistics import Blocks, percentiles, throughput_per_s, verdict
from compressor.base.documents import encode
from compressor.base.errors import UsageError

SCHEMA_VERSION: Final = 1
_MOST_QUERIES: Final = 10_000_000


def report_to_json(report: BenchReport) -> dict[str, Any]:
    """Return a JSON-able dictionary, ``schema_version`` first.

    ``speedup`` is null of a baseline, and where an interruption left too few rounds. ``best`` is what a sweep
    over batch sizes found; ``served`` and ``searches`` are what a server did.
    """
    speedups = {(c.model, c.backend, c.batch): _speedup(c) for c in report.comparisons}
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": report.mode,
        "scenario": report.scenario,
        "partial": report.partial,
        "fed": encode(report.fed) if report.fed else None,
        "results": [
            _result(result, speedups.get((result.model, result.settings.backend, result.settings.batch)))
            for result in report.results
        ],
        "best": [_best(result) for result in report.best()] if report.mode == "throughput" else [],
        "served": [encode(served) | _times([served.samples_ms]) for served in report.served],
        "searches": [encode(search) | _found(search) for search in report.searches],
        "notes": list(report.notes),
        "environment": report.environment,
        "conditions": encode(report.conditions) if report.conditions else None,
    }


def report_from_json(document: Mapping[str, Any]) -> BenchReport:
    """Return the report that a document was made from.

    Raises:
        UsageError: another schema, a field that is missing or malformed, a sample that is no time, or a
            verdict that its interval does not allow.
    """
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"benchmark document has schema version {version!r}, this program reads {SCHEMA_VERSION}",
            "measure again with this version",
        )
    try:
        return _report(document)
    except (KeyError, TypeError, ValidationError, ValueError) as error:
        raise UsageError(f"benchmark document is malformed: {error}", "measure again") from error


def _speedup(comparison: Comparison) -> dict[str, Any]:
    figures = dataclasses.asdict(comparison.speedup)
    return {**figures, "verdict": comparison.verdict, "baseline": comparison.baseline}


def _result(result: BenchResult, measured: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "model": result.model,
        "digest": result.digest,
        "batch": result.settings.batch,
        **_times(result.samples_ms),
        "throughput_per_s": throughput_per_s(result.samples_ms, result.settings.batch),
        "speedup": measured,
        "settings": dataclasses.asdict(result.settings),
        "notes": list(result.notes),
        "samples_ms": [list(block) for block in result.samples_ms],
    }


def _times(blocks_ms: Blocks) -> dict[str, float]:
    return dataclasses.asdict(percentiles(blocks_ms))


def _best(result: BenchResult) -> dict[str, Any]:
    return {
        "model": result.model,
        "backend": result.settings.backend,
        "batch": result.settings.batch,
        "throughput_per_s": throughput_per_s(result.samples_ms, result.settings.batch),
    }


def _found(search: Search) -> dict[str, Any]:
    return {
        "highest_per_s": search.highest_per_s,
        "probes": [encode(probe) | {"met": probe.met} for probe in search.probes],
    }


def _report(document: Mapping[str, Any]) -> BenchReport:
    machine = TypeAdapter(dict[str, str]).validate_python(document["environment"])
    comparisons = (_comparison(entry) for entry in document["results"] if entry["speedup"] is not None)
    return BenchReport(
        results=tuple(_bench_result(entry, machine) for entry in document["results"]),
        comparisons=tuple(comparisons),
        environment=machine,
        notes=TypeAdapter(tuple[str, ...]).validate_python(document["notes"]),
        **_since_modes(document),
    )


def _since_modes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that documents of the first versions lack; what is absent keeps its default."""
    kinds: dict[str, Any] = {
        "mode": str, "scenario": str, "partial": bool, "fed": Fed | None, "conditions": Conditions | None,
        "served": tuple[Served, ...], "searches": tuple[Search, ...],
    }  # fmt: skip
    found = {
        name: TypeAdapter(kind).validate_python(document[name])
        for name, kind in kinds.items()
        if name in document
    }
    for served in found.get("served", ()):
        _check_times(served.model, [served.samples_ms])
    for search in found.get("searches", ()):
        _check_probes(search)
    return found


def _check_probes(search: Search) -> None:
    """Refuse counts that are none, or so large that to judge them would not end."""
    for probe in search.probes:
        if not (0 <= probe.late <= probe.queries <= _MOST_QUERIES and 0 < probe.rate_per_s < math.inf):
            raise ValueError(f"{probe.late} of {probe.queries} queries at {probe.rate_per_s}/s is no probe")


def _bench_result(entry: Mapping[str, Any], machine: dict[str, str]) -> BenchResult:
    result = TypeAdapter(BenchResult).validate_python(
        {
            **{name: entry[name] for name in ("model", "digest", "settings", "samples_ms", "notes")},
            "environment": machine,
        }
    )
    _check_times(result.model, result.samples_ms)
    return result


def _check_times(model: str, blocks_ms: Blocks) -> None:
    samples = [ms for block in blocks_ms for ms in block]
    if not samples or not all(math.isfinite(ms) and ms > 0 for ms in samples):
        raise ValueError(f"a sample of {model!r} is not a positive number of milliseconds, or there is none")


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    measured = entry["speedup"]
    settings = TypeAdapter(BenchSettings).validate_python(entry["settings"])
    comparison = TypeAdapter(Comparison).validate_python(
        {
            "model": entry["model"],
            "baseline": measured["baseline"],
            "backend": settings.backend,
            "batch": settings.batch,
            "speedup": {name: measured[name] for name in ("value", "low", "high")},
            "verdict": measured["verdict"],
        }
    )
    _check_verdict(comparison)
    return comparison


def _check_verdict(comparison: Comparison) -> None:
    """Refuse a verdict that was edited, or drawn by another rule than today's."""
    found = comparison.speedup
    interval = f"the speed-up of {comparison.model!r}, {found.value} in {found.low}..{found.high},"
    if not 0 < found.low <= found.value <= found.high < math.inf:
        raise ValueError(f"{interval} is none")
    if verdict(found) != comparison.verdict:
        raise ValueError(f"{interval} is {verdict(found)!r}, not {comparison.verdict!r}")
