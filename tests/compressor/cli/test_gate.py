"""``compress gate`` as CI calls it: real files, real processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from compressor.api import load
from tests import zygote

QUICK = ["--threads", "1", "--processes", "2", "--seconds", "0.2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a small network and of one that does four times the work."""
    folder = tmp_path_factory.mktemp("gate")
    load("resnet20_cifar").export(folder / "small.onnx")
    load("resnet20_cifar", input=(3, 64, 64)).export(folder / "other.onnx")
    load("resnet56_cifar").export(folder / "large.onnx")
    (folder / "export").mkdir()
    (folder / "export" / "__init__.py").write_text("raise ImportError('not yours')\n")
    (folder / "bench").mkdir()
    (folder / "bench" / "__init__.py").write_text("raise ImportError('not yours')\n")
    return folder


def gate(*words: str, cwd: Path, code: int) -> tuple[str, str]:
    done = zygote.run(["gate", *words, *QUICK], cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def test_a_slower_model_fails_the_build_and_every_report_says_so(place: Path) -> None:
    reports = ["--junit", "gate.xml", "--markdown", "gate.md", "--json", "--max-size", "100kB"]
    out, err = gate("large.onnx", "--against", "small.onnx", *reports, cwd=place, code=3)
    document = json.loads(out)
    assert (document["verdict"], document["candidate"]) == ("fail", "large.onnx")
    latency = document["latency"]["1"]
    assert latency["low"] > latency["limit"] >= 0.05
    assert latency["rounds"] == len(latency["samples_ms"]) == len(latency["ratios"])
    assert min(latency["ratios"]) > 0
    assert [check["outcome"] for check in document["checks"]] == ["fail", "fail"]
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
    out, _ = gate(*words, cwd=place, code=0)
    assert "this machine can tell a regression of" in out
    assert "quality on digits" in out
    assert (place / "summary.md").read_text().startswith("### small")


def test_a_detector_is_timed_at_the_input_that_was_asked_for(place: Path) -> None:
    load("fasterrcnn_mobilenet_v3_large_fpn", input=(3, 64, 64)).save(place / "detector")
    words = ["detector", "--against", "detector", "--input", "3x96x64", "--max-regression", "100%"]
    out, _ = gate(*words, "--backend", "torch", "--json", cwd=place, code=0)
    assert json.loads(out)["latency"]["1"]["rounds"] >= 2


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
