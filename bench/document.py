"""The JSON form of a benchmark: raw samples, what follows from them, and where they were taken.

Figures that follow from samples (percentiles, throughput) are written for readers and recomputed on reading,
so that a document can never contradict itself.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from bench.comparison import BenchReport, Comparison
from bench.statistics import percentiles, throughput_per_s
from compressor.errors import UsageError
from compressor.types import BenchResult, BenchSettings

SCHEMA_VERSION: Final = 1


def report_to_json(report: BenchReport) -> dict[str, Any]:
    """Return a JSON-able dictionary, ``schema_version`` first; the baseline's ``speedup`` is null."""
    speedups = {(c.model, c.backend, c.batch): _speedup(c) for c in report.comparisons}
    return {
        "schema_version": SCHEMA_VERSION,
        "results": [
            _result(result, speedups.get((result.model, result.settings.backend, result.settings.batch)))
            for result in report.results
        ],
        "notes": list(report.notes),
        "environment": report.environment,
    }


def report_from_json(document: Mapping[str, Any]) -> BenchReport:
    """Return the report that a document was made from.

    Raises:
        UsageError: another schema, a field that is missing or malformed, or a sample that is no time.
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
        **dataclasses.asdict(percentiles(result.samples_ms)),
        "throughput_per_s": throughput_per_s(result.samples_ms, result.settings.batch),
        "speedup": measured,
        "settings": dataclasses.asdict(result.settings),
        "notes": list(result.notes),
        "samples_ms": [list(block) for block in result.samples_ms],
    }


def _report(document: Mapping[str, Any]) -> BenchReport:
    machine = TypeAdapter(dict[str, str]).validate_python(document["environment"])
    comparisons = (_comparison(entry) for entry in document["results"] if entry["speedup"] is not None)
    return BenchReport(
        results=tuple(_bench_result(entry, machine) for entry in document["results"]),
        comparisons=tuple(comparisons),
        environment=machine,
        notes=TypeAdapter(tuple[str, ...]).validate_python(document["notes"]),
    )


def _bench_result(entry: Mapping[str, Any], machine: dict[str, str]) -> BenchResult:
    result = TypeAdapter(BenchResult).validate_python(
        {
            **{name: entry[name] for name in ("model", "digest", "settings", "samples_ms", "notes")},
            "environment": machine,
        }
    )
    if not all(math.isfinite(ms) and ms > 0 for block in result.samples_ms for ms in block):
        raise ValueError(f"a sample of {result.model!r} is not a positive number of milliseconds")
    return result


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    measured = entry["speedup"]
    settings = TypeAdapter(BenchSettings).validate_python(entry["settings"])
    return TypeAdapter(Comparison).validate_python(
        {
            "model": entry["model"],
            "baseline": measured["baseline"],
            "backend": settings.backend,
            "batch": settings.batch,
            "speedup": {name: measured[name] for name in ("value", "low", "high")},
            "verdict": measured["verdict"],
        }
    )
