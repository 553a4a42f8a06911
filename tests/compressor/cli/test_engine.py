"""An engine is compared with PyTorch before it is put in its place; TensorRT is played by ONNX Runtime."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import export.tensorrt
from compressor.base.errors import ParityError
from compressor.cli import main
from compressor.cli.export_run import Request, run
from export.backends import BACKENDS, SessionOptions


def compress(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["compress", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


def request(folder: Path) -> Request:
    return Request(
        artifact=folder / "small", weights=None, classes=None, output=folder / "m.engine", format="tensorrt",
        precision="fp32", target="tensorrt", align=1, calib=None, calib_images=8, calib_method="minmax",
        auto=None, keep=(), batches=(1, 2, 4), shape=None, levers={}, threads=1, trust_code=False, json=True,
        form=None,
    )  # fmt: skip


def doubled(source: Path, target: Path) -> None:
    model = onnx.load(source)
    (output,) = (value.name for value in model.graph.output)
    for node in model.graph.node:
        node.output[:] = ["x" if name == output else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), "two"))
    model.graph.node.append(helper.make_node("Mul", ["x", "two"], [output]))
    onnx.save(model, target)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_wrong_engine_is_refused_and_not_left(
    wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    compress(monkeypatch, "prune", "resnet20_cifar", "--rate", "0.5", "-o", "small")

    def build_engine(source: Path, engine: Path, settings: object, *, device: object) -> SimpleNamespace:
        doubled(source, engine) if wrong else shutil.copyfile(source, engine)
        engine.with_name(f"{engine.name}.json").write_text("{}")
        return SimpleNamespace(record=helper_record())

    class Played:
        name, suffix = "tensorrt", ".engine"

        @staticmethod
        def open(model: Path, options: SessionOptions) -> object:
            assert options.device == "cuda"
            return BACKENDS.get("onnxruntime").open(model, SessionOptions(threads=1))

    built = SimpleNamespace(
        build_engine=build_engine, first_gpu=lambda: None,
        timing_cache_path=lambda engine: engine.with_name(f"{engine.name}.timing"),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "export.tensorrt.build", built)
    monkeypatch.setattr(export.tensorrt, "build", built, raising=False)
    assert "tensorrt" in BACKENDS  # loads the real ones
    monkeypatch.setitem(BACKENDS._entries, "tensorrt", Played())
    capsys.readouterr()
    if wrong:
        with pytest.raises(ParityError, match="differs by"):
            run(request(tmp_path))
        assert sorted(p.name for p in tmp_path.iterdir()) == ["small"]
        return
    run(request(tmp_path))
    assert json.loads(capsys.readouterr().out)["format"] == "tensorrt"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.engine", "m.engine.json", "small"]


def helper_record() -> object:
    from compressor.channels.cost import Cost

    return Cost(params=1, macs=1)  # any record that can be written as JSON
