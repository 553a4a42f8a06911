"""What commands print: one strict JSON document, and tables whose figures are worked out by hand."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from compressor.base.errors import CompressError
from compressor.cli import main, output
from compressor.cli.export_run import _auto
from export.precision import AutoReport, PrecisionReport
from export.precision.auto import LayerDamage

DENSE = {"parameters": 224 + 584 + 90, "MACs (conv + linear)": 100 * 27 * 8 + 64 * 72 * 8 + 80}
HALF = {"parameters": 112 + 148 + 50, "MACs (conv + linear)": 100 * 27 * 4 + 64 * 36 * 4 + 40}
QUARTER = {"parameters": 56 + 38 + 30, "MACs (conv + linear)": 100 * 27 * 2 + 64 * 18 * 2 + 20}
"""Of two 3x3 convolutions on 12x12 pixels without padding and a linear layer, 8, 4 and 2 channels wide."""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_number_that_is_none_is_no_document(value: float, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CompressError) as found:
        output.print_json({"model": "m", "scores": [{"top1": 1.0}, {"loss": value}]})
    assert f"the document would hold a number that is none: scores.1.loss is {value}" in str(found.value)
    assert "check the weights" in found.value.hint
    assert capsys.readouterr().out == ""


def test_numbers_of_any_size_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"tiny": 5e-324, "large": 1.7976931348623157e308, "whole": 2**70, "none": None}
    output.print_json(document)
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, **document}


def ended(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """Run a command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["compress", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_an_infinite_score_ends_a_command_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The logits of these weights are finite, their loss is not."""
    (tmp_path / "loud_net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def net():\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 10))\n"
        "    with torch.no_grad():\n"
        "        model[1].weight.zero_(); model[1].bias.copy_(torch.linspace(-3e38, 3e38, 10))\n"
        "    return model\n"
        "net.input_shapes = ((3, 12, 12),)\n"
    )
    monkeypatch.chdir(tmp_path)
    code = ended(monkeypatch, "eval", "loud_net:net", "--data", "digits", "--json")
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert "Internal error" not in said.err
    assert "the model computes NaN or infinity" in said.err


def test_a_layer_whose_quantisation_changes_nothing_has_a_place_in_the_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    layers = {"idle": math.inf, "silent": -math.inf, "usual": 31.5}
    report = AutoReport(
        precision=PrecisionReport(precision="int8", nodes=3, converted=3, kept_float=()),
        ranking=tuple(LayerDamage(layer=name, sqnr_db=db) for name, db in layers.items()),
        kept_float=(), fp32_score=90.0, int8_score=90.0, limit=0.5, scored=2,
    )  # fmt: skip
    output.print_json({"int8_auto": _auto(report)})
    ranking = json.loads(capsys.readouterr().out)["int8_auto"]["ranking"]
    assert [row["sqnr_db"] for row in ranking] == [None, None, 31.5]


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, list[str]]:
    """Run ``compress prune`` and return the rows of its cost table by their names, columns under ``""``."""
    code = ended(monkeypatch, "prune", *words)
    said = capsys.readouterr()
    assert not code, said.err
    lines = [line.strip("┃│ ") for line in said.out.splitlines()]
    cells = [[cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines]
    rows = {row[0]: row[1:] for row in cells if row[0] in DENSE}
    columns = next(row for row in cells if "before" in row)
    return {"": columns, **rows}


def test_the_cost_table_compares_with_what_was_given_and_with_the_original(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "thin_net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),"
        " nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))\n"
        "net.input_shapes = ((3, 12, 12),)\n"
    )
    monkeypatch.chdir(tmp_path)
    first = printed(monkeypatch, capsys, "thin_net:net", "--rate", "0.5", "-o", "half")
    again = printed(monkeypatch, capsys, "half", "--rate", "0.5", "--trust-code", "--dry-run")
    assert first.pop("")[-3:] == ["before", "after", "share"]
    assert again.pop("")[-5:] == ["dense", "before", "after", "share", "share of dense"]
    for name, dense in DENSE.items():
        half, quarter = HALF[name], QUARTER[name]
        assert first[name] == [f"{dense:,}", f"{half:,}", f"{half / dense:.3f}"]
        shares = [f"{quarter / half:.3f}", f"{quarter / dense:.3f}"]
        assert again[name] == [f"{dense:,}", f"{half:,}", f"{quarter:,}", *shares]
