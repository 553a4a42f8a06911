"""One of everything is added from outside, in one file each, and works from the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.page import page
from tests import zygote
from tests.compressor.base.test_registry import EVERY
from tests.extensions import MADE, install, shown

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a distribution; commands that run in it find what it adds."""
    folder = tmp_path_factory.mktemp("outside")
    install(folder)
    return folder


def said(words: str, place: Path) -> str:
    """Run a command to its good end; return what it printed."""
    done = zygote.run(words.split(), place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def document(words: str, place: Path) -> Any:
    return json.loads(said(f"{words} --json", place))


@pytest.mark.parametrize("kind", [registry.kind for registry in EVERY])
def test_one_more_of_any_kind_is_one_file(kind: str) -> None:
    _, files = MADE[kind]
    assert len(files) == 1


def test_a_report_shows_results_and_sections_of_others(outside: Path) -> None:
    (outside / "exam.json").write_text('{"exam": "a pupil"}')
    found = document("report exam.json", outside)
    assert [one["kind"] for one in found["results"]] == ["exam"]
    assert [one["name"] for one in found["sections"]] == ["praise", "accuracy", "environment"]


def test_help_lists_what_was_added(outside: Path) -> None:
    """In interpreters of their own: what pip installs is on the path from the start."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{outside}:{os.environ.get('PYTHONPATH', '')}",
        "COLUMNS": "300",
    }
    listed = {}
    for command in ("prune", "bench"):
        line = [sys.executable, "-m", "compressor", command, "--help"]
        text = subprocess.run(line, capture_output=True, check=True, text=True, env=environment).stdout
        for option, names in re.findall(r"(--[a-z]+) .*: ([\w:, -]+)[.;]", text):
            listed[option] = set(names.split(", "))
    assert {"linf", "best_of", "rounded", "l1"} <= listed["--method"]
    assert {"blocks", "macs"} <= listed["--budget"]
    assert {"stripes", "digits"} <= listed["--data"]
    assert {"echo", "onnxruntime"} <= listed["--backend"]
    assert {"single", "latency", "server"} <= listed["--mode"]
    assert {"card", "t4"} <= listed["--project"]


def test_conformance_tests_try_what_was_added(outside: Path) -> None:
    """In a process of its own; the method that plans a step gives the example of the step."""
    files = [f"tests/compressor/{room}/test_conformance.py" for room in ("criteria", "methods", "steps")]
    chosen = "linf or best_of or rounded or every_kind"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-vv", *files, "-k", chosen],
        capture_output=True, check=False, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(outside)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for name in ("repeatable[linf]", "proved_and_makes_the_model_smaller[best_of]", "decided[rounded]"):
        assert f"{name} PASSED" in done.stdout


def test_an_architecture_and_a_criterion_work(outside: Path) -> None:
    assert {"minute", "resnet50"} <= set(said("models", outside).split())
    plan = document("prune minute --method linf --rate 0.5 --dry-run", outside)["plan"]
    assert {(group["size"], group["kept"]) for group in plan["groups"]} >= {(32, 16)}


def test_a_price_works(outside: Path) -> None:
    groups = document("prune resnet20_cifar --budget blocks=0.5 --dry-run", outside)["plan"]["groups"]
    before, after = (sum(-(-group[width] // 16) for group in groups) for width in ("size", "kept"))
    assert after <= 0.5 * before


def test_a_method_works_and_one_of_a_mistaken_option_says_what_it_has(outside: Path) -> None:
    words = "prune minute --method best_of --rate 0.5 --dry-run --option"
    assert document(f"{words} tries=2", outside)["plan"]
    done = zygote.run([*words.split(), "trys=2"], outside)
    assert done.returncode == 2
    assert "unknown option of best_of 'trys'" in done.stderr
    assert "did you mean tries" in done.stderr


def test_a_step_goes_into_an_artifact_and_out_of_it(outside: Path, tmp_path: Path) -> None:
    said("prune resnet20_cifar --method rounded --rate 0.5 -o rounded", outside)
    steps = json.loads((outside / "rounded" / "manifest.json").read_text())["plan"]["steps"]
    assert [step["kind"] for step in steps] == ["change_channels", "round_weights"]
    assert "conv1  8 units" in said("models rounded", outside)
    done = zygote.run(["models", str(outside / "rounded")], tmp_path)  # where the step is not installed
    assert done.returncode == 1
    assert "unknown plan step 'round_weights'" in done.stderr
    assert "plug-in" in done.stderr


def test_a_data_set_and_a_task_work(outside: Path) -> None:
    assert document("eval minute --data stripes:20", outside)["data"] == "stripes"
    assert document("eval minute_exam --data exam", outside)["data"] == "stripes"
    done = zygote.run(["eval", "minute_exam", "--data", "digits"], outside)
    assert done.returncode == 2
    assert "an exam has no digits" in done.stderr


def test_a_runtime_and_a_mode_work(outside: Path) -> None:
    words = "bench minute minute_exam --backend echo --mode single --seconds 0.05 --threads 1"
    report = document(words, outside)
    assert (report["mode"], len(report["results"])) == ("single", 2)
    assert {result["settings"]["backend"] for result in report["results"]} == {"echo"}
    assert "echo" in said("doctor", outside)


def test_a_lint_and_a_profiler_work(outside: Path) -> None:
    (model,) = document("profile minute --seconds 0.05 --threads 1", outside)["models"]
    assert "praise_of_speed" in {lint["kind"] for lint in model["lints"]}
    done = zygote.run(["profile", "minute", "--backend", "torch"], outside)
    assert done.returncode == 2
    assert "choose from echo, onnxruntime" in done.stderr


def test_a_device_works(outside: Path) -> None:
    rows = document("bench minute --project card --batch 1", outside)["projections"]
    assert [(row["model"], row["precision"]) for row in rows] == [("minute", "fp16")]


def test_an_operation_of_ones_own_works(outside: Path) -> None:
    words = "prune doubled:Net --input 3x8x8 --rate 0.5 --dry-run"
    assert [group["kept"] for group in document(words, outside)["plan"]["groups"]][:1] == [4]


def test_a_study_gets_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tmp_path / "studies_of_contributing" / "powers_of_two"
    study.mkdir(parents=True)
    (study.parent / "__init__.py").touch()
    (study / "__init__.py").touch()
    (study / "page.py").write_text(shown("Section("))
    (study / "results.json").write_text('{"rows": [{"model": "resnet18", "speedup": 1.5}]}')
    monkeypatch.syspath_prepend(tmp_path)
    assert page(study.parent.name).endswith(
        "\n## Powers of two\n\n| model | speed-up |\n| --- | ---: |\n| resnet18 | 1.50 |\n"
    )
