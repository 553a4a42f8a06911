"""Documents run: the README's commands and code, links, and the results page.

What CONTRIBUTING.md shows is run by ``tests/test_extensions.py``.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from bench.page import page
from bench.studies.common.results import results_of
from compressor.cli import app
from compressor.methods import known_methods
from compressor.zoo import find, known_names
from tests import zygote

ROOT = Path(__file__).parent.parent
GUIDES = ("README.md", "docs/deploying.md", "docs/latency-in-ci.md")
DOCUMENTS = (*GUIDES, "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    commands = re.search(r"<!-- run -->\n```\n(.*?)```", text, flags=re.DOTALL)
    assert commands is not None
    first, *others = [line.split() for line in commands.group(1).splitlines()]
    assert {program for program, *_ in (first, *others)} == {"compress"}
    command = [sys.executable, "-m", "compressor", *first[1:]]  # one as it is, with nothing imported before
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for _, *words in others:
        done = zygote.run(words, tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_the_code_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert re.search(rb"top-1 [\d.]+ %.*\n[^\n]*batch.*half\.onnx", done.stdout, flags=re.DOTALL)
    assert {path.name for path in tmp_path.iterdir()} == {"half", "half.onnx"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


def commands(document: str) -> list[str]:
    """Return every command line of this program in a document's blocks."""
    lines = "\n".join(blocks(document, "")).splitlines()
    return [re.sub(r"^torchrun .* -m compressor", "compress", line) for line in lines if "compress" in line]


def workflow_commands() -> list[str]:
    """Return every command line of this program in the workflow that users copy."""
    text = (ROOT / "examples" / "ci" / "latency.yml").read_text()
    return [" ".join(found.split()) for found in re.findall(r"\bcompress gate .*(?:\n +--.*)*", text)]


def test_the_workflow_has_commands() -> None:
    first, second = workflow_commands()
    assert "--junit" in second
    assert "--against" in first


@pytest.mark.parametrize(
    "line", [*(line for name in GUIDES for line in commands(name)), *workflow_commands()]
)
def test_options_shown_in_documents_exist(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "compress"
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_readme_lists_every_method_and_layout() -> None:
    text = (ROOT / "README.md").read_text()
    methods = re.search(r"`--method ([\w |]+)`", text)
    layouts = re.search(r"`--layout ([\w|-]+)`", text)
    assert methods is not None
    assert layouts is not None
    assert sorted(methods[1].split(" | ")) == known_methods()
    assert set(layouts[1].split("|")) == {key for name in known_names() for key in find(name).layouts}


def test_the_extras_in_the_readme_exist() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    (listed,) = re.findall(r"\bExtras: (.*)", (ROOT / "README.md").read_text())
    assert set() < set(re.findall(r"\[(\w+)\]", listed)) <= extras


def test_the_results_page_is_what_the_results_say() -> None:
    assert (ROOT / "bench" / "README.md").read_text() == page()


def test_the_speeds_in_the_readme_were_measured() -> None:
    results = json.loads(results_of("detectors").read_text())
    report = results["tables"]["fasterrcnn_resnet50_fpn 800x1333"]["report"]["results"]
    ratios = {row["model"]: row["speedup"]["value"] for row in report if row["speedup"]}
    text = (ROOT / "README.md").read_text()
    for model, words in {
        "backbone, published rate": "backbone at the published rate",
        "whole, half of the MACs": "detector at half of its MACs",
        "whole, a quarter of the MACs": "at a quarter",
    }.items():
        assert f"{words} {ratios[model]:.2f}x" in text


def test_commands_listed_in_the_readme_exist() -> None:
    listed = set(re.findall(r"^\| `compress (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    help_text = subprocess.run(
        [sys.executable, "-m", "compressor", "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
    assert listed == {
        "models", "prune", "run", "inspect", "repair", "finetune", "eval", "export", "bench", "gate",
        "profile", "report", "detect", "doctor",
    }  # fmt: skip
    assert all(f" {command} " in help_text for command in listed)
