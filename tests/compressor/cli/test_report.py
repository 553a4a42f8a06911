"""``compress report`` on what the other commands wrote: real documents, real files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import zygote

DIGITS = ["--data", "digits"]


def said(*words: str, cwd: Path, code: int = 0) -> tuple[str, str]:
    done = zygote.run(list(words), cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


NET = """
from torch import nn

def net(num_classes=10):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, num_classes))

net.input_shapes = ((3, 12, 12),)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of every kind, and an artifact, as the commands write them."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "tiny.py").write_text(NET)
    quick = ["--backend", "torch", "--batch", "1", "--threads", "1", "--seconds", "0.1"]
    said("prune", "tiny:net", "--rate", "0.5", "-o", "half", cwd=folder)
    said("bench", "tiny:net", "half", *quick, "--save", "bench.json", cwd=folder)
    limits = ["--on-open", "pass", "--max-regression", "100%", "--processes", "1"]
    jobs = {
        "gate.json": ["gate", "half", "--against", "tiny:net", *limits, *quick],
        "stored.json": ["gate", "bench.json", "--against", "bench.json"],
        "profile.json": ["profile", "tiny:net", "half", "--threads", "1", "--seconds", "0.1", "--trust-code"],
        "eval.json": ["eval", "half", *DIGITS, "--trust-code"],
        "inspect.json": ["inspect", "half", *DIGITS, "--limit-images", "20", "--trust-code"],
    }
    for name, words in jobs.items():
        (folder / name).write_text(said(*words, "--json", cwd=folder)[0])
    return folder


RESULTS = ["bench.json", "gate.json", "stored.json", "profile.json", "eval.json", "inspect.json", "half"]


def test_what_commands_write_becomes_a_page(place: Path) -> None:
    out, err = said("report", *RESULTS, "-o", "report.html", "--title", "Half <b>", cwd=place)
    assert (out, err) == ("", "written: report.html\n")
    page = (place / "report.html").read_text()
    assert "<h1>Half &lt;b&gt;</h1>" in page
    for section in ("verdict", "speed-up", "rounds", "widths", "accuracy", "sensitivity", "environment"):
        assert f'<section id="{section}">' in page
    assert len(page) < 1_000_000


def test_the_document_has_the_figures(place: Path) -> None:
    document = json.loads(said("report", *RESULTS, "--json", cwd=place)[0])
    assert list(document)[:2] == ["schema_version", "title"]
    kinds = [one["kind"] for one in document["results"]]
    assert kinds == ["bench", "gate", "gate", "profile", "eval", "inspect", "artifact"]
    bench = json.loads((place / "bench.json").read_text())["results"][1]
    sections = {section["name"]: section["tables"] for section in document["sections"]}
    table = sections["speed-up"][0]
    named = dict(zip([one["name"] for one in table["columns"]], table["rows"][1], strict=True))
    assert (named["model"], named["p50"]) == ("half", bench["p50_ms"])
    assert named["speed-up"] == bench["speedup"]["value"]


@pytest.mark.parametrize("form", ["md", "csv"])
def test_other_formats_are_printed_or_written(place: Path, form: str) -> None:
    out, _ = said("report", "bench.json", "--format", form, cwd=place)
    said("report", "bench.json", "-o", f"report.{form}", cwd=place)
    assert (place / f"report.{form}").read_text() == out
    assert "tiny" in out


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["bench.json"], 2, ["nothing says how to write", "-o report.html"]),
        (["bench.json", "-o", "report.pdf"], 2, ["report.pdf", "--format md or csv"]),
        (["bench.json", "-o", "bench.json", "--format", "md"], 2, ["bench.json exists"]),
        (["missing.json", "-o", "x.html"], 1, ["missing.json", "cannot be read"]),
        (["half/README.md", "-o", "x.html"], 1, ["no readable JSON"]),
        (
            ["other.json", "-o", "x.html"],
            2,
            ["other.json is no result", "bench (compress bench"],
        ),
        ([".", "-o", "x.html"], 1, ["manifest.json cannot be read"]),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    place: Path, words: list[str], code: int, parts: list[str]
) -> None:
    (place / "other.json").write_text('{"kind": "\\u001b[31m"}')
    before = {path.name for path in place.iterdir()}
    out, err = said("report", *words, cwd=place, code=code)
    assert out == ""
    assert all(part in err for part in parts)
    assert "Traceback" not in err
    assert {path.name for path in place.iterdir()} == before


def test_help_names_the_kinds(place: Path) -> None:
    out, _ = said("report", "--help", cwd=place)
    assert "artifact, bench, eval, gate, inspect, profile" in " ".join(out.replace("│", " ").split())


def test_documents_need_no_pytorch(place: Path) -> None:
    code = (
        "import sys\nfrom compressor.cli import app\n"
        "try:\n    app(['report', 'bench.json', 'gate.json', '-o', 'light.html'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'onnxruntime', 'onnx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=place, check=True, capture_output=True)
