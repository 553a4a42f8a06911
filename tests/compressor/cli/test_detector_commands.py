"""A detector through every command, in real subprocesses, on a data set of rectangles."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compressor.cli.test_cli import answer, compress
from tests.detection.coco_factory import write_coco

NAME = "fasterrcnn_mobilenet_v3_large_fpn"
SMALL = ["--input", "3x64x96", "--proposals", 20, "--detections", 5, "--classes", 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, a pruned and briefly trained detector, and its ONNX file."""
    where = tmp_path_factory.mktemp("detector")
    write_coco(where / "coco", images=8, test_images=3)
    training = ["--data", "coco:coco", "--epochs", 1, "--set", "batch_size=4", "--set", "lr=0.01"]
    done = compress(
        "prune", NAME, *SMALL, "--rate", 0.3, "--scope", "detector", *training, "-o", "small", cwd=where
    )
    assert "8 images" in done.stderr or "images to learn from" in done.stderr
    compress("export", "small", "-o", "small.onnx", cwd=where)
    return where


def test_prune_reports_average_precision(folder: Path) -> None:
    manifest = json.loads((folder / "small" / "manifest.json").read_text())
    assert manifest["arch_kwargs"]["rpn_post_nms_top_n_test"] == 20
    assert {"box", "box50", "images"} <= manifest["metrics"]["test fine-tuned"].keys()
    assert "box AP" in (folder / "small" / "README.md").read_text()
    assert manifest["cost_after"]["macs"] < manifest["cost_before"]["macs"]


def test_artifact_and_file_score_alike(folder: Path) -> None:
    scores = [answer("eval", model, "--data", "coco:coco", cwd=folder) for model in ("small", "small.onnx")]
    assert scores[0]["images"] == scores[1]["images"] == 3
    assert scores[0]["box50"] == pytest.approx(scores[1]["box50"], abs=2)


def test_finetune_goes_on_from_an_artifact(folder: Path) -> None:
    options = ["--data", "coco:coco", "--epochs", 1, "--set", "batch_size=4", "-o", "tuned"]
    document = answer("finetune", "small", *options, cwd=folder)
    assert document["epochs"] == 1
    assert {"box", "box50"} <= document["metrics"]["test fine-tuned"].keys()


def test_the_shipped_decoder_needs_nothing_but_numpy(folder: Path) -> None:
    source = folder / "small_postprocess.py"
    imports = {line.split()[1].split(".")[0] for line in source.read_text().splitlines() if _imports(line)}
    assert imports <= {"collections", "typing", "numpy"}
    spec = importlib.util.spec_from_file_location("shipped", source)
    assert spec is not None
    assert spec.loader is not None
    shipped: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shipped)
    outputs = {
        "num_detections": np.array([1]), "boxes": np.array([[[2.0, 4.0, 20.0, 40.0]] * 2], dtype=np.float32),
        "scores": np.array([[0.9, 0.0]], dtype=np.float32), "labels": np.array([[2, 0]]),
    }  # fmt: skip
    found = shipped.decode(outputs, 0, (0.5, 0.5), (128, 192))
    np.testing.assert_allclose(found["boxes"], [[4, 8, 40, 80]])


def _imports(line: str) -> bool:
    return line.startswith(("import ", "from "))


OTHER = ["--input", "3x96x96", "--detections", 3]


@pytest.fixture(scope="module")
def other(folder: Path) -> dict[str, Any]:
    """Export ``other.onnx``: another canvas, fewer boxes."""
    return answer("export", "small", *OTHER, "-o", "other.onnx", cwd=folder)


def test_export_with_other_numbers_of_boxes_and_another_canvas(folder: Path, other: dict[str, Any]) -> None:
    assert other["parity"]["limit"] == pytest.approx(0.005)
    sizes = subprocess.run(
        [sys.executable, "-c", _SHAPES, "other.onnx"], cwd=folder, capture_output=True, text=True, check=True
    )
    shapes: dict[str, Any] = json.loads(sizes.stdout)
    assert shapes["input_0"][1:] == [3, 96, 96]
    assert shapes["boxes"][1:] == [3, 4]


_SHAPES = """
import json, sys, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(json.dumps({v.name: v.shape for v in (*session.get_inputs(), *session.get_outputs())}))
"""


def test_fp16_and_a_triton_repository(folder: Path) -> None:
    half = answer("export", "small", "-o", "half.onnx", "--precision", "fp16", cwd=folder)
    assert half["layers"]["converted"] > half["layers"]["nodes"] / 2
    assert (folder / "half.onnx").stat().st_size < 0.6 * (folder / "small.onnx").stat().st_size
    answer("export", "small", "-o", "repository", "--format", "triton", cwd=folder)
    config = (folder / "repository" / "small" / "config.pbtxt").read_text()
    assert 'name: "num_detections"' in config


@pytest.mark.usefixtures("other")
def test_bench_measures_detectors_with_their_levers(folder: Path) -> None:
    options = ["--batch", 1, "--seconds", 0.1, "--threads", 1, *OTHER]
    document = answer("bench", "small", "other.onnx", *options, cwd=folder)
    assert [result["model"] for result in document["results"]] == ["small", "other.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prune", NAME, *SMALL, "--rate", 0.3, "--scope", "head", "--dry-run"], "no scope 'head'"),
        (["prune", "resnet18", "--rate", 0.3, "--proposals", 5, "--dry-run"], "is no detector"),
        (["prune", NAME, "--input", "3x64x96", "--rate", 0.3, "--data", "digits", "--dry-run"], "coco:DIR"),
        (["export", "small", "--input", "3x70x96", "-o", "bad.onnx"], "multiple of 32"),
        (["export", "small", "--precision", "int8", "-o", "bad.onnx"], "--calib"),
        (["export", "small", "--align", "many", "-o", "bad.onnx"], "--align many"),
        (["export", "small", "--format", "triton"], "-o FOLDER"),
        (["export", "small", "--graph", "full", "--precision", "fp16", "-o", "bad.onnx"], "static graph"),
        (["export", "small", "--graph", "full", "--nms", "op", "-o", "bad.onnx"], "leave out"),
        (["eval", "small", "--data", "coco:nowhere"], "nowhere"),
    ],
)
def test_mistakes_end_in_a_message(folder: Path, words: list[object], message: str) -> None:
    done = compress(*words, cwd=folder, code=2)
    assert message in done.stderr
    assert not (folder / "bad.onnx").exists()


def test_an_engine_without_tensorrt_is_refused(folder: Path) -> None:
    done = compress("export", "small", "--format", "tensorrt", "-o", "small.engine", cwd=folder, code=5)
    assert "TensorRT" in done.stderr or "CUDA" in done.stderr
    assert not (folder / "small.engine").exists()


def test_torchvisions_own_graph_takes_one_image_at_a_time(folder: Path) -> None:
    answer("export", "small", "--graph", "full", "-o", "full.onnx", cwd=folder)
    scores = [answer("eval", model, "--data", "coco:coco", cwd=folder) for model in ("small", "full.onnx")]
    assert scores[0]["box50"] == pytest.approx(scores[1]["box50"], abs=2)
    done = compress("bench", "small.onnx", "full.onnx", "--batch", 2, cwd=folder, code=2)
    assert "takes at most 1 image" in done.stderr
    options = ["--batch", 1, "--threads", 1, "--seconds", 0.05, "--data", "coco:coco"]
    document = answer("bench", "small.onnx", "full.onnx", *options, cwd=folder)
    assert document["fed"]["images"] == 3
    assert [result["model"] for result in document["results"]] == ["small.onnx", "full.onnx"]


def test_suppression_by_the_operator(folder: Path) -> None:
    document = answer("export", "small", "--nms", "op", "-o", "op.onnx", cwd=folder)
    assert document["parity"]["max_relative_difference"] <= document["parity"]["limit"]


def test_int8_and_aligned_widths(folder: Path) -> None:
    options = ["--precision", "int8", "--calib", "coco:coco", "--calib-images", 8, "--align", 8]
    document = answer("export", "small", *options, "-o", "small8.onnx", cwd=folder)
    assert document["layers"]["converted"] > 20
    assert document["aligned"]["padded"]
    score = answer("eval", "small8.onnx", "--data", "coco:coco", cwd=folder)
    assert score["images"] == 3
