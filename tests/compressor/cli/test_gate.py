"""``compress gate`` as CI calls it: real files, real processes."""

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any
from xml.etree import ElementTree

import onnx
import pytest
import xmlschema

from bench.comparison import BenchReport, compare_with_first
from bench.document import report_to_json
from bench.results import BenchResult, BenchSettings
from compressor.api import load
from compressor.artifact import Artifact
from compressor.base.documents import write_json
from compressor.zoo import find
from tests import zygote
from tests.layers import behind_layers, layers_alone

SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[2] / "bench" / "gate" / "junit.xsd")
QUICK = ["--threads", "1", "--processes", "2", "--seconds", "0.2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a small network and of one that does four times the work."""
    folder = tmp_path_factory.mktemp("gate")
    load("resnet20_cifar").export(folder / "small.onnx")
    onnx.save(behind_layers(onnx.load(folder / "small.onnx"), 4), folder / "large.onnx")
    onnx.save(layers_alone((3, 64, 64), 1), folder / "other.onnx")
    documents(folder)
    (folder / "export").mkdir()
    (folder / "export" / "__init__.py").write_text("raise ImportError('not yours')\n")
    (folder / "bench").mkdir()
    (folder / "bench" / "__init__.py").write_text("raise ImportError('not yours')\n")
    return folder


def documents(folder: Path) -> None:
    """Write stored benchmarks, and what is none."""
    for name in ("a.engine", "b.engine"):
        (folder / name).write_bytes(b"no engine")
    (folder / "list.json").write_text("[]")
    (folder / "nan.json").write_text('{"results": NaN}')
    old = {"dense <b>": 10.0, "half": 5.0}
    for name, times in {
        "old": old, "faster_machine": {"dense <b>": 5.0, "half": 2.5}, "one": {"dense <b>": 10.0},
        "slower": {"dense <b>": 5.0, "half": 3.0},
    }.items():  # fmt: skip
        write_json(folder / f"{name}.json", stored(times))
    there = stored(old)
    write_json(folder / "elsewhere.json", there | {"environment": {"cpu": "a slide rule\x1b[31m"}})


def stored(times: dict[str, float]) -> dict[str, Any]:
    """Return a document of ``compress bench`` with known times, nearly without noise."""
    settings = BenchSettings(
        backend="onnxruntime", device="cpu", precision="fp32", threads=1, batch=1, blocks=8, runs_per_block=5,
        warmup_runs=10, discarded_runs=2, gap_ms=30.0, budget_s=1.0,
    )  # fmt: skip
    results = [
        BenchResult(
            model=model, digest="00", settings=settings, environment={"cpu": "an abacus"},
            samples_ms=tuple((ms * (1 + 0.001 * block * number),) * 5 for block in range(8)),
        )
        for number, (model, ms) in enumerate(times.items())
    ]  # fmt: skip
    comparisons = compare_with_first(results, seed=0)
    report = BenchReport(
        results=tuple(results), comparisons=comparisons, environment={"cpu": "an abacus"}, notes=()
    )
    return report_to_json(report)


def gate(*words: str, cwd: Path, code: int) -> tuple[str, str]:
    done = zygote.run(["gate", *words, *QUICK], cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def test_a_slower_model_fails_the_build_and_every_report_says_so(place: Path) -> None:
    reports = ["--junit", "gate.xml", "--markdown", "gate.md", "--json", "--max-size", "100kB"]
    out, err = gate("large.onnx", "--against", "small.onnx", *reports, cwd=place, code=3)
    document = json.loads(out)
    assert (document["verdict"], document["candidate"]) == ("fail", "large.onnx")
    latency = document["latency"]["batch 1, p50"]
    assert latency["low"] > latency["limit"] >= 0.05
    assert latency["rounds"] == len(latency["samples_ms"]) == len(latency["ratios"])
    assert math.exp(fmean(latency["ratios"])) == pytest.approx(1 + latency["change"])
    assert [check["outcome"] for check in document["checks"]] == ["fail", "fail"]
    SCHEMA.validate(place / "gate.xml")
    suite = ElementTree.fromstring((place / "gate.xml").read_text())[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    assert "**FAIL**" in (place / "gate.md").read_text()
    assert "latency, batch 1" in err


def test_a_faster_model_passes(place: Path) -> None:
    out, _ = gate("small.onnx", "--against", "large.onnx", cwd=place, code=0)
    assert "pass" in out


def test_a_model_against_itself_tells_what_this_machine_can_detect(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place / "summary.md"))
    words = ["small.onnx", "--against", "small.onnx", "--max-regression", "100%", "--data", "digits"]
    words += ["--metric", "p50,p90", "--threads", "1", "--processes", "2", "--seconds", "2"]
    done = zygote.run(["gate", *words], place)
    assert done.returncode == 0, done.stderr
    out = " ".join(done.stdout.split())
    assert "batch 1, p50: this machine can hold a limit of" in out
    assert "batch 1, p90: this machine can hold a limit of" in out
    assert "quality on digits" in out
    assert (place / "summary.md").read_text().startswith("### small")


def test_a_detector_is_timed_at_the_input_that_was_asked_for(place: Path) -> None:
    few = {"rpn_post_nms_top_n_test": 20, "box_detections_per_img": 5}
    arch = find("fasterrcnn_mobilenet_v3_large_fpn").with_options(few, ((3, 64, 64),))
    Artifact.of(arch.build(), arch).save(place / "detector")
    words = ["detector", "--against", "detector", "--input", "3x96x64", "--max-regression", "100%"]
    words += ["--processes", "1", "--threads", "1"]
    out, _ = gate(*words, "--backend", "torch", "--json", cwd=place, code=0)
    assert json.loads(out)["latency"]["batch 1, p50"]["rounds"] >= 2


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["small.onnx"], 2, ["--against"]),
        (["small.onnx", "--against", "absent.onnx"], 2, ["no file absent.onnx"]),
        (["small.onnx", "--against", "other.onnx"], 2, ["their times say nothing of each other"]),
        (
            ["small.onnx", "--against", "large.onnx", "--max-regression", "much"],
            2,
            ["--max-regression 'much'"],
        ),
        (["small.onnx", "--against", "large.onnx", "--max-regression", "0%"], 2, ["above 0"]),
        (["small.onnx", "--against", "large.onnx", "--alpha", "0.2"], 2, ["0.05, 0.01"]),
        (["small.onnx", "--against", "large.onnx", "--batch", "0"], 2, ["from 1"]),
        (["small.onnx", "--against", "large.onnx", "--max-size", "big"], 2, ["--max-size"]),
        (["small.onnx", "--against", "large.onnx", "--backend", "onnx"], 2, ["unknown backend"]),
        (["small.onnx", "--against", "large.onnx", "--metric", "p95"], 2, ["--metric 'p95'", "p50,p90,p99"]),
        (["small.onnx", "--against", "large.onnx", "--ignore", "cpu"], 2, ["--ignore is for two documents"]),
        (
            ["small.onnx", "--against", "old.json"],
            2,
            ["old.json holds times of another run"],
        ),
        (["old.json", "--against", "small.onnx"], 2, ["old.json holds times of another run"]),
        (
            ["old.json", "--against", "old.json", "--batch", "1"],
            2,
            ["--batch does not go with two"],
        ),
        (["old.json", "--against", "old.json", "--max-size", "1MB"], 2, ["--max-size does not go"]),
        (["old.json", "--against", "old.json", "--ignore", "moon"], 2, ["--ignore 'moon'", "cpu"]),
        (["old.json", "--against", "old.json", "--metric", "p99"], 2, ["p99 needs 299 calls", "are missing"]),
        (["old.json", "--against", "absent.json"], 1, ["absent.json cannot be read"]),
        (["old.json", "--against", "list.json"], 2, ["list.json is no document of a benchmark"]),
        (["old.json", "--against", "nan.json"], 1, ["nan.json is no readable JSON"]),
        (["old.json", "--against", "one.json"], 2, ["one.json holds no model beside a baseline"]),
        (["a.engine", "--against", "b.engine"], 1, ["has no sidecar"]),
    ],
)
def test_mistakes_are_sentences(place: Path, words: list[str], code: int, parts: list[str]) -> None:
    done = zygote.run(["gate", *words], place)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert all(part in " ".join(done.stderr.split()) for part in parts)


def test_what_a_worker_cannot_open_is_said_once(place: Path) -> None:
    (place / "broken.onnx").write_bytes((place / "small.onnx").read_bytes()[:2000])
    done = zygote.run(["gate", "broken.onnx", "--against", "small.onnx", *QUICK], place)
    assert done.returncode == 2
    assert done.stderr.count("Error:") == 1


def test_two_documents_are_compared_by_their_ratios(place: Path) -> None:
    done = zygote.run(
        ["gate", "faster_machine.json", "--against", "old.json", "--markdown", "same.md"], place
    )
    assert done.returncode == 0, done.stderr
    assert "weaker than a gate in one job" in (place / "same.md").read_text()
    reports = ["--junit", "stored.xml", "--markdown", "stored.md", "--json"]
    done = zygote.run(["gate", "slower.json", "--against", "old.json", *reports], place)
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    assert (document["verdict"], document["checks"][0]["outcome"]) == ("fail", "fail")
    (latency,) = document["latency"].values()
    assert (latency["model"], latency["change"]) == ("half", pytest.approx(0.2, abs=1e-6))
    SCHEMA.validate(place / "stored.xml")
    assert "**FAIL**" in (place / "stored.md").read_text()


def test_documents_of_another_machine_are_refused_unless_that_is_asked_for(place: Path) -> None:
    done = zygote.run(["gate", "elsewhere.json", "--against", "old.json"], place)
    assert done.returncode == 2
    assert "cpu: an abacus" in done.stderr
    assert "--ignore cpu" in done.stderr
    assert "\x1b" not in done.stderr
    done = zygote.run(["gate", "elsewhere.json", "--against", "old.json", "--ignore", "cpu"], place)
    assert done.returncode == 0, done.stderr
    assert "ignored as asked: cpu" in done.stderr


def test_a_document_against_itself_tells_what_such_documents_can_detect(place: Path) -> None:
    done = zygote.run(["gate", "old.json", "--against", "old.json"], place)
    assert done.returncode == 0, done.stderr
    assert "documents like these can hold a limit of" in done.stdout


def test_a_percentile_without_its_calls_is_refused_with_the_number_that_is_missing(place: Path) -> None:
    words = ["small.onnx", "--against", "small.onnx", "--metric", "p99"]
    done = zygote.run(["gate", *words, "--threads", "1", "--processes", "1", "--seconds", "0.1"], place)
    assert done.returncode == 2
    assert re.search(r"p99 needs 299 calls of each model.*: \d+ are missing", " ".join(done.stderr.split()))
    assert "--seconds" in done.stderr


def test_an_engine_goes_the_way_of_every_other_file(place: Path) -> None:
    words = ["a.engine", "--against", "b.engine", "--backend", "tensorrt", "--device", "cuda"]
    done = zygote.run(["gate", *words], place)
    assert done.returncode == 5, done.stderr
    assert "backend 'tensorrt' cannot run on cuda here" in done.stderr


def workers_of_the_dead() -> str:
    words = ["pgrep", "-P", "1", "-f", "bench.gate.worker"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_no_worker_outlives_a_gate_that_is_killed(place: Path) -> None:
    words = ["gate", "small.onnx", "--against", "large.onnx", *QUICK]
    command = [sys.executable, "-P", "-m", "compressor", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stderr is not None
        while "after 6" not in run.stderr.readline():
            assert run.poll() is None
        run.kill()
    deadline = time.monotonic() + 30
    while workers_of_the_dead() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers_of_the_dead()
