"""``compress inspect`` as a user types it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from compressor.cli import main

MODEL = (
    "from torch import nn\n"
    "def net(num_classes=10):\n"
    "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(),\n"
    "        nn.Linear(6 * 16, num_classes))\n"
    "net.input_shapes = ((3, 8, 8),)\n"
)
INSPECT = ["inspect", "mine:net", "--data", "digits", "--rates-list", "0.5,0.25"]


class Printed(NamedTuple):
    stdout: str
    stderr: str


Compress = Callable[..., Printed]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model of the user's own in it."""
    (tmp_path / "mine.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


@pytest.fixture
def compress(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compress:
    """Runs the command line in this process; commands that succeed simply return."""

    def run(*words: object, code: int = 0) -> Printed:
        monkeypatch.setattr(sys, "argv", ["compress", *(str(word) for word in words)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = Printed(*capsys.readouterr())
        assert (end.value.code or 0) == code, printed
        assert "Traceback" not in printed.stderr
        return printed

    return run


def answer(compress: Compress, *words: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(compress(*words, "--json").stdout)
    assert next(iter(document)) == "schema_version"
    return document


def measured(file: Path) -> list[dict[str, Any]]:
    """Return the lines of the file beside the plot, the first one left out."""
    return [json.loads(line) for line in file.read_text().splitlines()[1:]]


def test_the_study_agrees_with_pruning_and_scoring_by_hand(place: Path, compress: Compress) -> None:
    document = answer(compress, *INSPECT)
    assert document["split"] == "val"
    assert document["images"] == 144
    assert document["weights"] == "random initialisation"
    assert [(g["name"], g["size"]) for g in document["groups"]] == [("0", 8), ("2", 6)]
    first = document["groups"][0]["points"]
    assert [(p["rate"], p["kept"]) for p in first] == [(0.25, 6), (0.5, 4)]
    answer(compress, "prune", "mine:net", "--rate", 0.5, "--keep", "2", "-o", "by_hand")
    by_hand = answer(compress, "eval", "by_hand", "--data", "digits", "--split", "val", "--trust-code")
    assert first[1]["quality"] == by_hand["top1"]
    manifest = json.loads((place / "by_hand" / "manifest.json").read_text())
    assert first[1]["macs"] == manifest["cost_after"]["macs"]
    assert first[1]["params"] == manifest["cost_after"]["params"]
    assert document["dense"]["macs"] == manifest["cost_before"]["macs"]


def test_the_table_lists_every_group_and_the_extremes(place: Path, compress: Compress) -> None:
    pytest.importorskip("matplotlib")
    done = compress(*INSPECT, "-o", "plot.svg")
    for word in ("-25%", "-50%", "144 images of", "most sensitive: ", "least sensitive: "):
        assert word in done.stdout
    assert (place / "plot.svg").read_text().startswith("<?xml")
    assert "written: plot.svg" in done.stderr


def test_an_interrupted_study_goes_on_where_it_stopped(place: Path, compress: Compress) -> None:
    pytest.importorskip("matplotlib")
    whole = answer(compress, *INSPECT, "-o", "plot.svg")
    lines = (place / "plot.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 1 + 4  # what is measured, the model as it is, two groups at two rates
    (place / "plot.svg").unlink()
    # Killed while it wrote the third measurement. The second is changed, to see that it is not made again.
    changed = {**json.loads(lines[2]), "quality": 55.5}
    (place / "plot.jsonl").write_text("".join([*lines[:2], json.dumps(changed) + "\n", lines[3][:20]]))
    again = answer(compress, *INSPECT, "-o", "plot.svg")
    assert again["groups"][0]["points"][0]["quality"] == 55.5
    assert again["groups"][0]["points"][1] == whole["groups"][0]["points"][1]
    assert again["groups"][1]["points"] == whole["groups"][1]["points"]
    assert measured(place / "plot.jsonl") == [json.loads(lines[1]), changed, *map(json.loads, lines[3:])]


@pytest.mark.parametrize(
    "change", [["--method", "l2"], ["--seed", "1"], ["--limit-images", "50"], ["--split", "test"]]
)
def test_measurements_of_another_study_are_refused(
    place: Path, compress: Compress, change: list[str]
) -> None:
    pytest.importorskip("matplotlib")
    compress(*INSPECT, "-o", "plot.svg")
    (place / "plot.svg").unlink()
    kept = (place / "plot.jsonl").read_bytes()
    done = compress(*INSPECT, *change, "-o", "plot.svg", code=2)
    assert "plot.jsonl belongs to another study" in done.stderr
    assert (place / "plot.jsonl").read_bytes() == kept


def test_damaged_measurements_are_refused(place: Path, compress: Compress) -> None:
    (place / "plot.jsonl").write_text("nonsense\nnonsense\n")
    done = compress(*INSPECT, "-o", "plot.svg", code=1)
    assert "plot.jsonl: line 1 is no readable JSON" in done.stderr


def test_without_matplotlib_the_table_still_comes_and_nothing_is_lost(
    place: Path, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = compress(*INSPECT, "-o", "plot.svg", code=5)
    assert "most sensitive: " in done.stdout
    assert "pip install 'compress-cnn[plot]'" in done.stderr
    assert len(measured(place / "plot.jsonl")) == 5
    assert not (place / "plot.svg").exists()


def test_fewer_images_and_groups(place: Path, compress: Compress) -> None:
    document = answer(compress, *INSPECT, "--limit-images", 50, "--group", "2")
    assert document["images"] == 50
    assert [g["name"] for g in document["groups"]] == ["2"]
    assert sorted(p.name for p in place.iterdir() if p.name != "__pycache__") == ["mine.py"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "mine:net"], "nothing to score on"),
        ([*INSPECT, "--rates-list", "a"], "--rates-list 'a'"),
        ([*INSPECT, "--rates-list", "0.5,1"], "1.0 is not in [0, 1)"),
        ([*INSPECT, "--group", "x"], "--group x matches no group"),
        ([*INSPECT, "-o", "plot.pdf"], "no name for a plot"),
        ([*INSPECT, "-o", "mine.py"], "mine.py exists"),
    ],
)
def test_mistakes_end_in_a_message(compress: Compress, words: list[str], message: str) -> None:
    done = compress(*words, code=2)
    assert message in done.stderr
    assert "Hint: " in done.stderr
    assert done.stdout == ""
