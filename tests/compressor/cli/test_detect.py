"""``compress detect`` as a user types it, on a small detector that finds something everywhere."""

import json
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
import torch
from PIL import Image

from bench.studies.common.lively import enlivened
from compressor.artifact import Artifact
from compressor.cli import main
from compressor.zoo import find
from detection.media import opened
from export.deploy import deploy
from tests.detection.films import FRAMES, HEIGHT, WIDTH, cut, film, image, with_broken_frames

DETECTOR, CLASSIFIER = "fasterrcnn_mobilenet_v3_large_fpn", "resnet20_cifar"
SMALL = {"rpn_post_nms_top_n_test": 8, "box_detections_per_img": 4, "num_classes": 3}
GAP = 4  # black columns between two pictures


class Printed(NamedTuple):
    stdout: str
    stderr: str


Compress = Callable[..., Printed]


def artifact(path: Path, name: str) -> Path:
    arch = find(name)
    if name == DETECTOR:
        arch = arch.with_options(SMALL, ((3, 96, 128),))
    torch.manual_seed(0)
    model = arch.build()
    if name == DETECTOR:
        scores = enlivened(model).get_submodule("roi_heads.box_predictor.cls_score")
        scores.get_parameter("weight").data.mul_(0.5)  # no score is one to the last bit
    Artifact.of(model, arch).save(path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    artifact(folder / "detector", DETECTOR)
    artifact(folder / "classifier", CLASSIFIER)
    return folder


@pytest.fixture(scope="module")
def exported(models: Path) -> Path:
    path = models / "detector.onnx"
    deploy(Artifact.load(models / "detector"), path)
    return path


@pytest.fixture
def place(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with both models and one picture in it."""
    for model in ("detector", "classifier"):
        (tmp_path / model).symlink_to(models / model)
    Image.fromarray(image(0)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compress(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compress:
    """Runs ``compress detect`` in this process; whatever fails must leave no new file."""

    def run(*words: object, code: int = 0) -> Printed:
        before = sorted(place.iterdir())
        monkeypatch.setattr(sys, "argv", ["compress", "detect", *(str(word) for word in words)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = Printed(*capsys.readouterr())
        assert (end.value.code or 0) == code, printed
        if code:
            assert "Error: " in printed.stderr
            assert "Hint: " in printed.stderr
            assert printed.stdout == ""
            assert sorted(place.iterdir()) == before
        return printed

    return run


def answer(compress: Compress, *words: object) -> dict[str, Any]:
    printed = compress(*words, "--json")
    document: dict[str, Any] = json.loads(printed.stdout)
    assert next(iter(document)) == "schema_version"
    assert printed.stderr == ""
    return document


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_one_image(compress: Compress, place: Path) -> None:
    document = answer(compress, "detector", "a.png", "-o", "o.png", "--min-score", 0, "--threads", 1)
    (model,) = document["models"]
    assert (document["pictures"], document["skipped"]) == (1, [])
    assert model["model"] == "detector"
    assert 0 < model["detections"] <= SMALL["box_detections_per_img"]
    assert model["fps"] > 0
    drawn = pixels(place / "o.png")
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    assert (drawn != image(0)).any()
    assert list(drawn[0, 0]) == [0, 0, 0], "the bar under the rate"


def test_only_what_is_sure_enough_is_counted_and_drawn(compress: Compress, place: Path) -> None:
    every = answer(compress, "detector", "a.png", "-o", "all.png", "--min-score", 0)
    none = answer(compress, "detector", "a.png", "-o", "none.png", "--min-score", 1)
    assert none["models"][0]["detections"] == 0 < every["models"][0]["detections"]
    below = slice(HEIGHT // 2, None)  # of the caption
    assert np.array_equal(pixels(place / "none.png")[below], image(0)[below])


def test_two_models_side_by_side(compress: Compress, place: Path) -> None:
    words = ["detector", "a.png", "--min-score", 0, "--threads", 1]
    answer(compress, *words, "-o", "one.png")
    document = answer(compress, *words, "--beside", "detector", "-o", "two.png")
    assert len(document["models"]) == 2
    assert document["models"][0]["detections"] == document["models"][1]["detections"]
    one, two = pixels(place / "one.png"), pixels(place / "two.png")
    assert two.shape == (HEIGHT, 2 * WIDTH + GAP, 3)
    below = slice(HEIGHT // 2, None)  # of the captions, whose rates differ
    for half in (two[below, :WIDTH], two[below, -WIDTH:]):
        assert np.array_equal(half, one[below])


def test_a_folder_with_all_sorts_of_files(compress: Compress, place: Path) -> None:
    (place / "in").mkdir()
    sizes = {"large.png": (150, 201), "one.png": (1, 1), "wide.bmp": (20, 300)}
    for name, size in sizes.items():
        Image.fromarray(image(1, *size)).save(place / "in" / name)
    (place / "in" / "broken.jpg").write_bytes(b"not an image")
    document = answer(compress, "detector", "in", "-o", "out", "--min-score", 0)
    assert document["pictures"] == len(sizes)
    assert [one["picture"] for one in document["skipped"]] == ["broken.jpg"]
    assert {p.name: pixels(p).shape[:2] for p in (place / "out").iterdir()} == sizes
    text = compress("detector", "in", "-o", "again").stdout
    assert "1 pictures could not be read:\n  broken.jpg: cannot identify image file" in text
    assert "written: again" in text


def test_a_video(compress: Compress, place: Path) -> None:
    film(place / "a.mp4")
    document = answer(compress, "detector", "a.mp4", "-o", "o.mkv", "--min-score", 0, "--beside", "detector")
    assert document["pictures"] == FRAMES
    found = frames(place / "o.mkv")
    assert [frame.shape for frame in found] == [(HEIGHT, 2 * WIDTH + GAP, 3)] * FRAMES
    with opened(place / "a.mp4") as before, opened(place / "o.mkv") as after:
        assert after.rate == before.rate


def test_a_video_with_broken_frames_and_an_early_end(compress: Compress, place: Path) -> None:
    with_broken_frames(film(place / "a.mp4"), (2, 5))
    document = answer(compress, "detector", "a.mp4", "-o", "o.mp4")
    assert document["pictures"] == FRAMES - 2 == len(frames(place / "o.mp4"))
    assert len(document["skipped"]) == 2
    cut(film(place / "b.mp4", index_first=True), 0.6)
    document = answer(compress, "detector", "b.mp4", "-o", "p.mp4")
    assert 0 < document["pictures"] == len(frames(place / "p.mp4")) < FRAMES
    assert "the video ends here" in document["skipped"][-1]["problem"]


def test_a_long_list_of_problems_is_cut(compress: Compress, place: Path) -> None:
    (place / "in").mkdir()
    for number in range(12):
        (place / "in" / f"{number:02}.png").write_bytes(b"no")
    Image.fromarray(image(0)).save(place / "in" / "good.png")
    text = compress("detector", "in", "-o", "out").stdout
    assert "12 pictures could not be read" in text
    assert "  09.png" in text
    assert "  10.png" not in text
    assert "--json lists all" in text


def test_an_exported_detector_finds_the_same(compress: Compress, place: Path, exported: Path) -> None:
    """Boxes from the file are those of PyTorch, so the pictures beside each other are alike."""
    Image.fromarray(image(3, 96, 128)).save(place / "b.png")  # of the canvas' size: nothing is resized
    document = answer(compress, exported, "b.png", "--beside", "detector", "-o", "o.png", "--min-score", 0)
    ours, torchs = document["models"]
    assert ours["model"] == str(exported)
    assert ours["detections"] == torchs["detections"] > 0
    both = pixels(place / "o.png")[48:]
    assert (both[:, :128] != both[:, -128:]).any(axis=2).mean() < 0.02


def test_a_name_has_random_weights_and_says_so(compress: Compress, place: Path) -> None:
    printed = compress(DETECTOR, "a.png", "-o", "o.png", "--input", "3x64x64")
    assert "random initialisation" in printed.stderr
    assert "0 detections in 1 pictures" in printed.stdout


def test_names_of_ones_own(compress: Compress, place: Path) -> None:
    words = ["detector", "a.png", "--min-score", 0, "--threads", 1]
    (place / "names.txt").write_text("background\nä\nsomething else\n", encoding="utf-8")
    answer(compress, *words, "-o", "plain.png")
    answer(compress, *words, "--names", "names.txt", "-o", "named.png")
    assert not np.array_equal(
        pixels(place / "plain.png")[HEIGHT // 2 :], pixels(place / "named.png")[HEIGHT // 2 :]
    )


REFUSED = {
    "no output": (["detector", "a.png"], "nowhere to write"),
    "output exists": (["detector", "a.png", "-o", "a.png"], "a.png exists"),
    "no source": (["detector", "b.png", "-o", "o.png"], "there is nothing at b.png"),
    "empty folder": (["detector", "empty", "-o", "o"], "empty holds no images"),
    "no image": (["detector", "text.png", "-o", "o.png"], "text.png is no image"),
    "no video": (["detector", "text.mp4", "-o", "o.mp4"], "text.mp4 is no readable video"),
    "nothing readable": (["detector", "bad", "-o", "o"], "nothing in bad can be read"),
    "image to video": (["detector", "a.png", "-o", "o.mp4"], "o.mp4 cannot hold the image"),
    "image to folder": (["detector", "a.png", "-o", "o"], "o cannot hold the image"),
    "folder to image": (["detector", "bad", "-o", "o.png"], "o.png cannot hold the folder"),
    "video to folder": (["detector", "whole.mp4", "-o", "o"], "o cannot hold the video"),
    "classifier": (["classifier", "a.png", "-o", "o.png"], "classifier is no detector"),
    "second is a classifier": (
        ["detector", "a.png", "--beside", "classifier", "-o", "o.png"],
        "classifier is no detector",
    ),
    "unknown model": (["fasterrcnn", "a.png", "-o", "o.png"], "fasterrcnn"),
    "no such file": (["none.onnx", "a.png", "-o", "o.png"], "none.onnx is not a readable ONNX file"),
    "no ONNX": (["text.onnx", "a.png", "-o", "o.png"], "text.onnx is not a readable ONNX file"),
    "foreign ONNX": (["foreign.onnx", "a.png", "-o", "o.png"], "foreign.onnx is no detector of ours"),
    "backend of files": (
        ["detector", "a.png", "-o", "o.png", "--backend", "onnxruntime"],
        "backend onnxruntime does not run detector",
    ),
    "too few names": (
        ["detector", "a.png", "-o", "o.png", "--names", "two.txt"],
        "two.txt has 2 lines, the model has 3 classes",
    ),
    "no names": (["detector", "a.png", "-o", "o.png", "--names", "three.txt"], "cannot read three.txt"),
    "no threads": (["detector", "a.png", "-o", "o.png", "--threads", "0"], "cannot run on 0 threads"),
    "no device": (["detector", "a.png", "-o", "o.png", "--device", "tpu"], "unknown device"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_explained(compress: Compress, place: Path, case: str) -> None:
    import onnx

    (place / "empty").mkdir()
    (place / "bad").mkdir()
    for path in ("bad/a.png", "text.png", "text.mp4", "text.onnx"):
        (place / path).write_bytes(b"not this")
    film(place / "whole.mp4", frames=2)
    (place / "two.txt").write_text("background\ncat\n")
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), place / "foreign.onnx")
    words, message = REFUSED[case]
    assert message in compress(*words, code=2).stderr


def test_the_runtime_must_fit_the_file(compress: Compress, exported: Path) -> None:
    words = [exported, "a.png", "-o", "o.png"]
    assert "has its own input size" in compress(*words, "--input", "3x64x64", code=2).stderr
    assert "backend torch does not run" in compress(*words, "--backend", "torch", code=2).stderr


def command(place: Path, *words: object) -> list[str]:
    return [sys.executable, "-m", "compressor", "detect", *(str(word) for word in words)]


def test_an_output_that_cannot_be_written_leaves_nothing(place: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    film(place / "a.mp4")
    before = sorted(place.iterdir())

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        command(place, "detector", "a.mp4", "-o", "o.mp4"),
        cwd=place, capture_output=True, text=True, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "cannot write o.mp4: File too large" in done.stderr
    assert "Hint: free some space" in done.stderr
    assert sorted(place.iterdir()) == before


def test_a_terminal_gets_a_progress_bar_and_json_stays_whole(place: Path) -> None:
    film(place / "a.mp4")
    ours, theirs = pty.openpty()
    words = ["detector", "a.mp4", "-o", "o.mp4", "--json"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        command(place, *words), cwd=place, stdout=subprocess.PIPE, stderr=theirs, check=True, env=environment
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 20).decode()
    os.close(ours)
    assert "pictures" in shown
    assert "%" in shown
    assert json.loads(done.stdout)["pictures"] == FRAMES
