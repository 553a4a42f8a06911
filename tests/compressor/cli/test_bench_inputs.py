"""What is measured against what: one input, and the precision that a file has."""

import json
import math
import os
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
from export.tensorrt.device import GpuFacts
from export.tensorrt.sidecar import EngineRecord, record_to_text, sidecar_path

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
    eight = ("--precision", "int8", "--calib", "digits", "--calib-images", "8", "-o", "ours8.onnx")
    compress("export", "mine:net", "--input", "3x16x16", *eight)
    out, _ = compress("bench", "mine:net", "ours8.onnx", "p8.onnx", *QUICK, "--json")
    assert [r["settings"]["precision"] for r in json.loads(out)["results"]] == ["fp32", "int8", "int8"]
    out, _ = compress("bench", "ours8.onnx", *QUICK, "--backend", "openvino,onnxruntime")
    assert out.count("ours8.onnx (int8)") == 2
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


def foreign_graph(*weights: onnx.TensorProto) -> onnx.ModelProto:
    """Somebody else's file: an addition for every tensor, and no word on its precision."""
    kind = weights[0].data_type if weights else onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, [None, 3]) for name in ("x", "y")]
    names = ["x", *(f"h{number}" for number in range(len(weights)))]
    nodes = [
        onnx.helper.make_node("Add", [names[number], weight.name], [names[number + 1]])
        for number, weight in enumerate(weights)
    ]
    nodes.append(onnx.helper.make_node("Relu", [names[-1]], ["y"]))
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=list(weights))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def tensor(name: str, kind: int, *shape: int) -> onnx.TensorProto:
    return onnx.helper.make_tensor(name, kind, shape, [1.0] * math.prod(shape))


KINDS = onnx.TensorProto


@pytest.mark.parametrize(
    ("weights", "seen"),
    [
        ((), "unknown"),
        ((tensor("one", KINDS.FLOAT),), "unknown"),
        ((tensor("w", KINDS.FLOAT, 3),), "fp32"),
        ((tensor("w", KINDS.DOUBLE, 3),), "fp64"),
        ((tensor("w", KINDS.BFLOAT16, 3),), "bf16"),
        ((tensor("w", KINDS.FLOAT16, 3), tensor("one", KINDS.FLOAT16)), "fp16"),
    ],
)
def test_a_foreign_file_is_called_what_its_tensors_say(
    tmp_path: Path, weights: tuple[onnx.TensorProto, ...], seen: str
) -> None:
    onnx.save(foreign_graph(*weights), tmp_path / "theirs.onnx")
    assert read_precision(tmp_path / "theirs.onnx") == seen


def test_a_precision_that_nothing_tells_is_printed_as_unknown(
    tmp_path: Path, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(foreign_graph(), "theirs.onnx")
    out, _ = compress("bench", "theirs.onnx", "--input", "3", *QUICK)
    assert "theirs.onnx (precision unknown)" in " ".join(out.split())


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="a pipe has no path here")
def test_the_file_is_opened_once() -> None:
    """Between two readings it could be another file; a pipe gives its content only once."""
    source, sink = os.pipe()
    os.write(sink, foreign_graph(tensor("w", KINDS.FLOAT16, 3)).SerializeToString())
    os.close(sink)
    try:
        assert read_precision(Path(f"/dev/fd/{source}")) == "fp16"
    finally:
        os.close(source)


@pytest.mark.parametrize(("said", "read"), [("fp16", "fp16"), ("int8", "int8"), ("\x1b[2J", "unknown")])
def test_the_sidecar_of_an_engine_says_its_precision(tmp_path: Path, said: str, read: str) -> None:
    """Its ONNX file may have been somebody else's, whose properties say nothing."""
    gpu = GpuFacts(name="Tesla T4", compute_capability="7.5", cuda="12.8", driver="550.54.14")
    record = EngineRecord(
        tensorrt="10.13.3.9", gpu=gpu, onnx_sha256="", engine_sha256="", timing_cache_sha256="",
        timing_cache_reused=False, batches=(1, 4, 8), inputs=(), workspace_bytes=2**30,
        optimization_level=3, tf32=False, precision=said, precision_share={said: 1.0}, metadata={},
    )  # fmt: skip
    engine = tmp_path / "m.engine"
    sidecar_path(engine).write_text(record_to_text(record))
    assert read_precision(engine) == read
