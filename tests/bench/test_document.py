import copy
import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from bench.comparison import BenchReport
from bench.conditions import Conditions
from bench.document import report_from_json, report_to_json
from bench.results import Fed, Probe, Search, Served, ServerSettings
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


NEW = ("mode", "scenario", "partial", "fed", "best", "served", "searches", "conditions")


def test_documents_of_the_first_versions_are_read(report: BenchReport) -> None:
    old = {name: value for name, value in report_to_json(report).items() if name not in NEW}
    for entry in old["results"]:
        entry["settings"] = {
            name: value for name, value in entry["settings"].items() if name not in ("spinning", "placement")
        }
    found = report_from_json(json.loads(json.dumps(old)))
    assert found == report
    assert (found.scenario, found.conditions) == ("SingleStream", None)
    assert found.results[0].settings.spinning == "default"  # there was nothing else


def full_of(report: BenchReport) -> BenchReport:
    """Return a report with something in every field."""
    settings = ServerSettings(
        backend="onnxruntime", device="cpu", precision="int8", threads=1, batch=1, rate_per_s=50.0,
        warmup_runs=10, seed=0, shapes=((3, 8, 8),), spinning="default", placement=("0-1",),
    )  # fmt: skip
    probes = (Probe(rate_per_s=50.0, queries=662, late=1), Probe(rate_per_s=60.0, queries=90, late=2))
    search = Search(model="m", backend="onnxruntime", batch=1, limit_ms=20.0, call_ms=5.0, probes=probes)
    conditions = Conditions(
        before={"cpu_mhz": "3000"}, after={}, affinity="0-3", usable_cores=4, peak_memory_bytes=10**9,
        git_commit=None,
    )  # fmt: skip
    served = Served(model="m", digest="00", settings=settings, samples_ms=(1.0, 2.0), notes=("busy",))
    fed = Fed(data="digits", split="test", images=64, synthetic=False)
    return replace(
        report, mode="server", scenario="Server", partial=True, fed=fed, conditions=conditions,
        served=(served,), searches=(search,),
    )  # fmt: skip


def test_whatever_a_mode_found_survives_the_round_trip(report: BenchReport) -> None:
    document = report_to_json(full_of(report))
    assert document["searches"][0]["highest_per_s"] == 50.0
    assert [probe["met"] for probe in document["searches"][0]["probes"]] == [True, False]
    assert document["served"][0]["p50_ms"] == 1.5
    assert report_from_json(json.loads(json.dumps(document, allow_nan=False))) == full_of(report)


def test_what_follows_from_the_figures_is_not_believed(report: BenchReport) -> None:
    document = json.loads(json.dumps(report_to_json(full_of(report))))
    document = changed(("searches", 0, "highest_per_s"), 1e9, document)
    document = changed(("searches", 0, "probes", 1, "met"), True, document)
    assert report_from_json(document).searches[0].highest_per_s == 50.0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("served", 0, "samples_ms"), []),
        (("served", 0, "samples_ms", 0), math.inf),
        (("served", 0, "settings"), {}),
        (("searches", 0, "probes", 0, "late"), 10**12),
        (("searches", 0, "probes", 0, "queries"), 10**12),
        (("searches", 0, "probes", 0, "rate_per_s"), math.nan),
        (("conditions", "before"), ["fast"]),
        (("conditions", "usable_cores"), "many"),
        (("fed", "images"), "all"),
        (("partial",), "perhaps"),
    ],
)
def test_malformed_findings_are_refused(
    report: BenchReport, path: tuple[str | int, ...], value: object
) -> None:
    with pytest.raises(UsageError, match="malformed"):
        report_from_json(changed(path, value, json.loads(json.dumps(report_to_json(full_of(report))))))


def test_the_best_batch_is_written_for_a_sweep(report: BenchReport) -> None:
    document = report_to_json(replace(report, mode="throughput"))
    assert [(best["model"], best["batch"]) for best in document["best"]] == [
        ("dense", 4), ("pruned", 4), ("twin", 4)
    ]  # fmt: skip
    assert report_to_json(report)["best"] == []


def test_reading_a_document_needs_no_torch() -> None:
    script = "import sys, bench.document, bench.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
