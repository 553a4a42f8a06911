"""Tests that are answered from the folder of graphs test what an export would have given."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compressor.zoo.inputs import InputSpec
from export.to_onnx import export_onnx
from tests import exported

INPUTS = InputSpec(shapes=((3, 8, 8),))


def built(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())


def test_an_answer_from_the_folder_is_what_the_exporter_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(torch.onnx.export, exported.Kept)
    exporter, calls = torch.onnx.export.exporter, []

    def counted(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        return exporter(*arguments, **options)

    def written(name: str, seed: int) -> bytes:
        return export_onnx(built(seed), INPUTS, tmp_path / name, metadata={}).path.read_bytes()

    monkeypatch.setattr(torch.onnx, "export", exporter)
    plain = written("plain.onnx", 0)
    (tmp_path / "graphs").mkdir()
    monkeypatch.setattr(torch.onnx, "export", exported.Kept(counted, tmp_path / "graphs"))
    assert written("made.onnx", 0) == plain
    assert written("kept.onnx", 0) == plain
    assert len(calls) == 1
    assert written("other.onnx", 1) != plain
    assert len(calls) == 2
