"""``compress bench`` in its modes, on real images, and interrupted."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.document import report_from_json
from tests import zygote
from tests.zygote import Harness

QUICK = ("--batch", "1", "--threads", "1", "--seconds", "0.05")
NET = (
    "from torch import nn\n"
    "def net():\n"
    "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 196, 10))\n"
    "net.input_shapes = ((3, 16, 16),)\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modes")
    (folder / "mine.py").write_text(NET)
    done = zygote.run(["export", "mine:net", "-o", "a.onnx"], folder)
    assert done.returncode == 0, done.stderr
    (folder / "b.onnx").write_bytes((folder / "a.onnx").read_bytes())
    return folder


def bench(place: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = zygote.run(["bench", *words, "--json"], place)
    assert done.returncode == code, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    report_from_json(document)
    return document


def refused(place: Path, *words: str) -> str:
    done = zygote.run(["bench", *words], place)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_images_of_a_data_set_are_fed_to_files_artifacts_and_names(place: Path) -> None:
    document = bench(place, "a.onnx", "mine:net", *QUICK, "--data", "digits", "--backend", "onnxruntime")
    assert document["fed"] == {"data": "digits", "split": "test", "images": 64, "synthetic": False}
    assert "inputs are 64 images of digits, test" in document["notes"]
    assert not any("noise" in note for note in document["notes"])
    assert (
        bench(place, "mine:net", *QUICK, "--backend", "torch", "--data", "digits")["fed"] == document["fed"]
    )
    assert "unknown dataset" in refused(place, "a.onnx", *QUICK, "--data", "digitz")


def test_noise_is_called_noise_and_the_way_to_images_named(place: Path) -> None:
    document = bench(place, "a.onnx", *QUICK)
    assert document["fed"] is None
    assert any("noise" in note and "--data" in note for note in document["notes"])
    assert document["conditions"]["usable_cores"] >= 1
    assert document["conditions"]["peak_memory_bytes"] > 10**7


def test_a_server_is_measured_from_the_command_line(place: Path) -> None:
    load = ("--mode", "server", "--rate-per-s", "500", "--p99-ms", "1000", "--queries", "662")
    document = bench(place, "a.onnx", "--threads", "1", *load)
    assert document["scenario"] == "Server"
    assert document["served"][0]["settings"]["rate_per_s"] == 500
    assert document["searches"][0]["highest_per_s"] == document["served"][1]["settings"]["rate_per_s"]


def test_a_sweep_is_bounded_by_the_batches_that_are_given(place: Path) -> None:
    words = ("--mode", "throughput", "--batch", "2,1", "--threads", "1", "--seconds", "0.05")
    document = bench(place, "a.onnx", *words)
    assert document["scenario"] == "Offline"
    assert [result["batch"] for result in document["results"]] == [1, 2]
    assert document["best"][0]["model"] == "a.onnx"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mode", "servr"), "did you mean server?"),
        (("--mode", "server"), "give --rate-per-s 50, or --p99-ms 20"),
        (("--mode", "server", "--p99-ms", "5", "--queries", "600"), "62 are missing"),
        (("--rate-per-s", "5"), "--rate-per-s is for a server"),
        (("--mode", "throughput", "--queries", "700"), "--queries is for a server"),
        (("--mode", "server", "--p99-ms", "nan"), "--p99-ms nan"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(
    place: Path, words: tuple[str, ...], said: str
) -> None:
    assert said in refused(place, "nowhere.onnx", *words)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A file of which a batch of 4096 takes long enough for a signal to meet it."""
    weight = numpy_helper.from_array(np.full((8, 8, 3, 3), 0.1, np.float32), "w")
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8, 16, 16]) for name in ("x", "y")
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "slow.onnx")
    return tmp_path


def lines(path: Path, seconds: float = 60) -> Iterator[str]:
    """Yield what a process says, as it says it."""
    end, seen = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        said = path.read_text().splitlines() if path.exists() else []
        yield from said[seen:]
        seen = len(said)
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_and_prints_what_was_measured(
    slow: Path, harness: Harness, number: signal.Signals
) -> None:
    said = slow / "stdout", slow / "stderr"
    words = ("--input", "8x16x16", "--batch", "1,4096", "--threads", "1", "--seconds", "0.1")
    process = harness.begin(["bench", "slow.onnx", *words, "-o", "kept.json", "--json"], slow, said)
    next(line for line in lines(said[1]) if line.startswith("batch 1:"))
    os.kill(process, number)
    assert harness.ended() == 130
    document = json.loads(said[0].read_text())
    assert document["partial"]
    assert [result["batch"] for result in document["results"]] in ([1], [1, 4096])
    assert len(document["results"][0]["samples_ms"]) >= 8
    assert json.loads((slow / "kept.json").read_text())["results"] == document["results"]
    assert report_from_json(document).partial
    assert "Interrupted: this is what was measured until then." in said[1].read_text()
    assert "Traceback" not in said[1].read_text()


def test_an_interruption_before_anything_is_measured_says_so(slow: Path, harness: Harness) -> None:
    said = slow / "stdout", slow / "stderr"
    words = ("--input", "8x16x16", "--batch", "65536", "--threads", "1", "-o", "kept.json")
    process = harness.begin(["bench", "slow.onnx", *words], slow, said)
    end = time.monotonic() + 60
    while not list(slow.glob(".compress-*")) and time.monotonic() < end:
        time.sleep(0.01)  # until it has begun
    os.kill(process, signal.SIGINT)
    assert harness.ended() == 130
    assert said[0].read_text() == ""
    assert "Nothing was written" in said[1].read_text()
    assert not (slow / "kept.json").exists()
