import copy
import json
import math
import subprocess
import sys
from typing import Any

import pytest

from bench.comparison import BenchReport
from bench.document import report_from_json, report_to_json
from bench.statistics import percentiles
from compressor.base.errors import UsageError


def test_a_report_survives_the_round_trip(report: BenchReport) -> None:
    text = json.dumps(report_to_json(report), allow_nan=False)
    assert report_from_json(json.loads(text)) == report


def test_the_documented_fields_are_there(report: BenchReport) -> None:
    document = report_to_json(report)
    assert next(iter(document)) == "schema_version"
    dense, pruned, twin = document["results"]
    assert dense["p50_ms"] == percentiles(report.results[0].samples_ms).p50_ms
    assert dense["throughput_per_s"] == pytest.approx(4 * 1000 / dense["p50_ms"])
    assert dense["speedup"] is None
    assert set(pruned["speedup"]) == {"value", "low", "high", "verdict", "baseline"}
    assert pruned["speedup"]["value"] == pytest.approx(2.0, rel=0.1)
    assert (pruned["speedup"]["verdict"], pruned["speedup"]["baseline"]) == ("faster", "dense")
    assert twin["speedup"]["verdict"] == "no difference"


def without(path: tuple[str | int, ...], document: dict[str, Any]) -> dict[str, Any]:
    return changed(path, None, document, delete=True)


def changed(
    path: tuple[str | int, ...], value: object, document: dict[str, Any], *, delete: bool = False
) -> dict[str, Any]:
    made = copy.deepcopy(document)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    if delete:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), 99, "schema version 99"),
        (("results", 0, "samples_ms", 0, 0), math.nan, "not a positive number"),
        (("results", 0, "samples_ms", 0, 0), -1.0, "not a positive number"),
        (("results", 0, "samples_ms", 0, 0), "fast", "malformed"),
        (("results", 0, "settings"), {}, "malformed"),
        (("results", 1, "speedup", "verdict"), "wow", "malformed"),
        (("results", 1, "speedup", "verdict"), "slower", "is 'faster', not 'slower'"),
        (("results", 2, "speedup", "verdict"), "faster", "is 'no difference', not 'faster'"),
        (("results", 1, "speedup", "low"), 100.0, "is none"),
        (("results", 1, "speedup", "high"), math.nan, "is none"),
        (("results",), "none", "malformed"),
        (("environment",), None, "malformed"),
    ],
)
def test_malformed_documents_are_refused(
    report: BenchReport, path: tuple[str | int, ...], value: object, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        report_from_json(changed(path, value, report_to_json(report)))


@pytest.mark.parametrize(
    "path", [("schema_version",), ("results", 0, "model"), ("results", 1, "speedup", "low")]
)
def test_missing_fields_are_refused(report: BenchReport, path: tuple[str | int, ...]) -> None:
    with pytest.raises(UsageError):
        report_from_json(without(path, report_to_json(report)))


def test_reading_a_document_needs_no_torch() -> None:
    script = "import sys, bench.document, bench.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
