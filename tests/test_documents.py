"""Documents run: the README's commands and code, CONTRIBUTING's criterion, links, and the results page."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bench.page import page
from bench.studies.common.results import results_of
from compressor.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "docs/deploying.md")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    commands = re.search(r"<!-- run -->\n```\n(.*?)```", text, flags=re.DOTALL)
    assert commands is not None
    for line in commands.group(1).splitlines():
        program, *words = line.split()
        assert program == "compress"
        subprocess.run(
            [sys.executable, "-m", "compressor", *words], cwd=tmp_path, check=True, capture_output=True
        )


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_the_code_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert re.search(rb"top-1 [\d.]+ %.*\n[^\n]*batch.*half\.onnx", done.stdout, flags=re.DOTALL)
    assert {path.name for path in tmp_path.iterdir()} == {"half", "half.onnx"}


def test_the_criterion_of_contributing_works(tmp_path: Path) -> None:
    code = blocks("CONTRIBUTING.md", "python")[1]
    assert '@CRITERIA.register("linf")' in code
    use = (
        "\nfrom compressor.methods.ranking import make_plan\n"
        "from compressor.rates import PruneRequest, Share\n"
        "from compressor.zoo import find\narch = find('resnet20_cifar')\n"
        "make_plan(arch.build(), arch, PruneRequest(target=Share(0.5)), CRITERIA.get('linf')())\n"
    )
    subprocess.run([sys.executable, "-c", code + use], cwd=tmp_path, check=True, capture_output=True)


def test_the_study_of_contributing_gets_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (code for code in blocks("CONTRIBUTING.md", "python") if "Section(" in code)
    study = tmp_path / "studies_of_contributing" / "powers_of_two"
    study.mkdir(parents=True)
    (study.parent / "__init__.py").touch()
    (study / "__init__.py").touch()
    (study / "page.py").write_text(code)
    (study / "results.json").write_text('{"rows": [{"model": "resnet18", "speedup": 1.5}]}')
    monkeypatch.syspath_prepend(tmp_path)
    assert page(study.parent.name).endswith(
        "\n## Powers of two\n\n| model | speed-up |\n| --- | ---: |\n| resnet18 | 1.50 |\n"
    )


def test_the_price_of_contributing_works(tmp_path: Path) -> None:
    (code,) = (code for code in blocks("CONTRIBUTING.md", "python") if "PRICES" in code)
    assert 'PRICES.register("blocks")' in code
    use = "\nimport sys\nfrom compressor.cli import main\nsys.argv = ['compress', *sys.argv[1:]]\nmain()\n"
    words = ["prune", "resnet20_cifar", "--budget", "blocks=0.5", "--dry-run", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code + use, *words], cwd=tmp_path, check=True, capture_output=True
    )
    groups = json.loads(done.stdout)["plan"]["groups"]
    before, after = (sum(-(-group[width] // 16) for group in groups) for width in ("size", "kept"))
    assert after <= 0.5 * before


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


def commands(document: str) -> list[str]:
    """Return every command line of this program in a document's blocks."""
    lines = "\n".join(blocks(document, "")).splitlines()
    return [re.sub(r"^torchrun .* -m compressor", "compress", line) for line in lines if "compress" in line]


@pytest.mark.parametrize(
    "line", [line for name in ("README.md", "docs/deploying.md") for line in commands(name)]
)
def test_options_shown_in_documents_exist(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "compress"
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


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
        "models", "prune", "run", "inspect", "repair", "finetune", "eval", "export", "bench", "detect",
        "doctor",
    }  # fmt: skip
    assert all(f" {command} " in help_text for command in listed)
