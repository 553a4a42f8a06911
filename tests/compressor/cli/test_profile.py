"""``compress profile`` and ``compress bench --why`` as users call them: real files, real runtimes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import zygote

QUICK = ["--threads", "1", "--seconds", "0.05"]
IMAGE = (64, 32, 32)
INPUT = ["--input", "64x32x32"]
NET = (
    "from torch import nn\n"
    "def net():\n"
    "    return nn.Sequential(nn.Conv2d(3, 13, 3), nn.ReLU(), nn.Conv2d(13, 7, 3))\n"
    "net.input_shapes = ((3, 12, 12),)\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a wide layer, and of a narrow one with many functions behind it, which no MACs count."""
    folder = tmp_path_factory.mktemp("profile")
    onnx.save(network(64, ["Relu"]), folder / "wide.onnx")
    onnx.save(network(8, ["Erf", "Exp", "Log", "Tanh"] * 8), folder / "narrow.onnx")
    (folder / "mine.py").write_text(NET)
    return folder


def network(width: int, functions: Sequence[str]) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.full((width, 64, 3, 3), 0.01, np.float32), "body.conv.weight")
    nodes = [helper.make_node("Conv", ["input", weight.name], ["h0"], "conv", pads=[1, 1, 1, 1])]
    for number, function in enumerate(functions):
        nodes.append(helper.make_node(function, [f"h{number}"], [f"h{number + 1}"], f"f{number}"))
    shapes = {"input": IMAGE, f"h{len(functions)}": (width, *IMAGE[1:])}
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *shape]) for n, shape in shapes.items()
    ]
    graph = helper.make_graph(nodes, "network", ports[:1], ports[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(*words: str, cwd: Path, code: int = 0) -> tuple[str, str]:
    done = zygote.run([*words, *QUICK], cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def test_two_models_side_by_side(place: Path) -> None:
    words = ["profile", "wide.onnx", "narrow.onnx", *INPUT, "--batch", "2", "--json", "-o", "both.json"]
    out, err = run(*words, cwd=place)
    document = json.loads(out)
    assert json.loads((place / "both.json").read_text()) == document
    assert [model["name"] for model in document["models"]] == ["wide.onnx", "narrow.onnx"]
    macs = [sum(node["macs"] or 0 for node in model["nodes"]) for model in document["models"]]
    assert macs == [2 * 32 * 32 * 64 * 9 * width for width in (64, 8)]
    [pair] = [pair for pair in document["pairs"] if pair["module"] == "body.conv"]
    assert pair["saved_ms"] == pair["before_ms"] - pair["after_ms"] > 0
    assert "profiling narrow.onnx (2 of 2)" in err


def test_a_factory_of_the_user_s_for_people(place: Path) -> None:
    out, _ = run("profile", "mine:net", "--rows", "2", cwd=place)
    assert "by stage" in out
    assert "> 7" in out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["profile", "wide.onnx", "--backend", "torch"], "onnxruntime, openvino"),
        (["profile", "wide.onnx", "wide.onnx"], "twice"),
        (["profile", "wide.onnx", "-o", "wide.onnx"], "exists"),
        (["profile", "nowhere.onnx"], "nowhere.onnx"),
        (["bench", "wide.onnx", "--why", "--backend", "torch"], "cannot say the time of its nodes"),
    ],
)
def test_refusals(place: Path, words: list[str], part: str) -> None:
    _, err = run(*words, *INPUT, cwd=place, code=2)
    assert part in err
    assert "Traceback" not in err


def test_why_a_speed_up_fell_short(place: Path) -> None:
    out, err = run("bench", "wide.onnx", "narrow.onnx", *INPUT, "--why", "--batch", "1", "--json", cwd=place)
    [found] = json.loads(out)["why"]
    assert [model["name"] for model in found["models"]] == ["wide.onnx", "narrow.onnx"]
    assert {pair["kind"] for pair in found["pairs"]} >= {"Erf", "Exp"}
    assert "profiling wide.onnx (1 of 2)" in err


def test_nothing_is_profiled_where_the_macs_keep_their_promise(place: Path) -> None:
    out, _ = run("bench", "narrow.onnx", "wide.onnx", *INPUT, "--why", "--batch", "1", cwd=place)
    assert "no speed-up is far under what its MACs promise" in out
