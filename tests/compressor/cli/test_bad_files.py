"""Damaged and hostile exported files, and calibration without images: messages, and nothing left behind."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from compressor.cli import main


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["compress", *words])
    main()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact, its ONNX file, and files that look like it."""
    where = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        for words in (
            ("prune", "resnet20_cifar", "--rate", "0.5", "-o", "small"),
            ("export", "small", "-o", "small.onnx"),
        ):
            with pytest.raises(SystemExit) as end:
                run(patch, where, *words)
            assert not end.value.code
    whole = (where / "small.onnx").read_bytes()
    (where / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (where / "secret").write_bytes(b"0" * 10_000)
    inside = where / "inside"
    inside.mkdir()
    (inside / "outside.onnx").write_bytes(_reading("../secret", where / "small.onnx"))
    (inside / "absolute.onnx").write_bytes(_reading(str(where / "secret"), where / "small.onnx"))
    (inside / "missing.onnx").write_bytes(_reading("gone", where / "small.onnx"))
    images, labels = np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64)
    np.savez(where / "empty.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return where


def _reading(location: str, source: Path) -> bytes:
    """Return a model whose first weight comes from ``location``."""
    model = onnx.load(source)
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.ClearField("raw_data")
    weight.external_data.add(key="location", value=location)
    content: bytes = model.SerializeToString()
    return content


TABLE = {
    "truncated, scored": (["eval", "truncated.onnx", "--data", "digits"], ["truncated.onnx"]),
    "truncated, measured": (["bench", "truncated.onnx"], ["truncated.onnx"]),
    "outside, scored": (["eval", "inside/outside.onnx", "--data", "synthetic"], ["outside.onnx"]),
    "outside, measured": (["bench", "inside/outside.onnx", "--batch", "1"], ["outside.onnx"]),
    "absolute, measured": (["bench", "inside/absolute.onnx", "--batch", "1"], ["absolute.onnx"]),
    "missing, measured": (["bench", "inside/missing.onnx", "--batch", "1"], ["missing.onnx"]),
    "no image to calibrate with": (
        ["export", "small", "-o", "x.onnx", "--precision", "int8", "--calib", "npz:empty.npz"],
        ["there are no images"],
    ),
    "no calibration at all": (["export", "small", "-o", "x.onnx", "--precision", "int8"], ["--calib"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_a_bad_file_ends_in_a_message(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words, expected = TABLE[case]
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, folder, *words)
    printed = capfd.readouterr()
    said = " ".join(printed.err.split())
    assert end.value.code == 2, said
    assert "Traceback" not in said
    assert "Hint:" in said
    for part in expected:
        assert part in said
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before
