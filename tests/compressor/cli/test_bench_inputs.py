"""What is measured against what: one input, and the precision that a file has."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from compressor.cli import main
from export.metadata import read_precision
from export.precision import to_fp16
from export.precision.int8 import to_int8

Compress = Callable[..., tuple[str, str]]
QUICK = ("--batch", "1", "--threads", "1", "--seconds", "0.05")


@pytest.fixture
def compress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compress:
    def run(*words: str, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["compress", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert (end.value.code or 0) == code, said.err
        return said.out, said.err

    return run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "mine.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),"
        " nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(8, 10))\n"
    )
    return folder


def test_names_follow_files_and_other_sizes_are_refused(
    place: Path, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    compress("export", "mine:net", "--input", "3x32x32", "-o", "small.onnx")
    out, err = compress("bench", "mine:net", "small.onnx", *QUICK, "--json")
    assert "mine:net at 3x32x32, as small.onnx takes" in err
    results: list[dict[str, Any]] = json.loads(out)["results"]
    assert [result["settings"]["shapes"] for result in results] == [[[3, 32, 32]]] * 2
    compress("export", "mine:net", "--input", "3x64x64", "-o", "large.onnx")
    _, err = compress("bench", "small.onnx", "large.onnx", *QUICK, code=2)
    assert "large.onnx takes 3x64x64, but small.onnx takes 3x32x32" in err
    _, err = compress("bench", "small.onnx", "mine:net", "--input", "3x64x64", *QUICK, code=2)
    assert "small.onnx takes (3, 32, 32), not (3, 64, 64)" in err


def test_the_precision_is_the_files_own(
    place: Path, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.chdir(place)
    compress("export", "mine:net", "--input", "3x16x16", "-o", "p32.onnx")
    to_fp16(place / "p32.onnx", place / "p16.onnx")
    to_int8(place / "p32.onnx", place / "p8.onnx", [np.ones((4, 3, 16, 16), np.float32)])
    compress("export", "mine:net", "--input", "3x16x16", "--precision", "fp16", "-o", "ours.onnx")
    out, _ = compress("bench", "p32.onnx", "ours.onnx", *QUICK, "--json")
    assert [r["settings"]["precision"] for r in json.loads(out)["results"]] == ["fp32", "fp16"]
    out, _ = compress("bench", "p32.onnx", "ours.onnx", *QUICK)
    assert "ours.onnx (fp16)" in out
    for name, seen in (("p16.onnx", "fp16"), ("p8.onnx", "int8")):
        model = onnx.load(place / name)
        del model.metadata_props[:]  # somebody else's file
        assert model.graph.initializer
        assert numpy_helper.to_array(model.graph.initializer[0]).size
        onnx.save(model, place / f"foreign_{name}")
        assert read_precision(place / f"foreign_{name}") == seen
    model = onnx.load(place / "foreign_p16.onnx")
    for weight in reversed(list(model.graph.initializer)):  # and his tool writes weights as nodes
        node = onnx.helper.make_node("Constant", [], [weight.name], value=weight)
        model.graph.node.insert(0, node)
    del model.graph.initializer[:]
    onnx.save(model, place / "nodes.onnx")
    assert read_precision(place / "nodes.onnx") == "fp16"
