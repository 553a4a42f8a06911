"""``compress bench --project``: figures that nobody can take for measured ones."""

import json
from pathlib import Path

import pytest

from bench.document import report_from_json
from compressor.base.errors import UsageError
from tests import zygote

SMALL = "resnet20_cifar"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projected")
    done = zygote.run(["prune", SMALL, "--rate", "0.5", "-o", "half"], folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_precision_of_the_device_is_projected_and_labelled(place: Path) -> None:
    done = zygote.run(
        ["bench", SMALL, "half", "--project", "t4", "--batch", "1,256", "--json", "-o", "saved.json"], place
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads((place / "saved.json").read_text()) == document
    assert document["label"] == "projection, not a measurement"
    assert document["device"]["name"] == "t4"
    rows = document["projections"]
    assert {(row["precision"], row["batch"]) for row in rows} == {
        (precision, batch) for precision in ("fp32", "fp16", "int8") for batch in (1, 256)
    }
    assert not {"p50_ms", "results", "samples_ms", "speedup"} & {*document, *rows[0]}
    for dense, half in zip(rows[::2], rows[1::2], strict=True):
        assert (dense["model"], half["model"]) == (SMALL, "half")
        assert dense["projected_speedup"] is None
        assert dense["projected_ms"]["low"] < dense["projected_ms"]["middle"] < dense["projected_ms"]["high"]
        # of one image the shortcuts' own kernels cost more launches than the convolutions save
        assert (half["projected_speedup"]["low"] > 1) == (half["batch"] > 1)
        assert sum(half["limited_by"].values()) == pytest.approx(1)
    alone = rows[0]["limited_by"]
    assert alone["launch"] > 0.5  # tiny layers, one image
    with pytest.raises(UsageError):
        report_from_json(document)


def test_the_table_says_what_it_is(place: Path) -> None:
    done = zygote.run(["bench", SMALL, "half", "--project", "t4"], place)
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "Projection to t4: no time below was measured" in words
    assert "projected ms" in words
    assert "projection, not a measurement" in words
    assert "no time of these models is measured" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((SMALL, "--project", "t5"), "Hint: did you mean t4?"),
        ((SMALL, "--project", "zebra"), "Hint: known: here, t4."),
        ((SMALL, SMALL, "--project", "t4"), "a model is named twice"),
        ((SMALL, "--project", "t4", "--batch", "0"), "cannot project batch sizes"),
        ((SMALL, "--project", "t4", "--mode", "server", "--p99-ms", "5"), "--p99-ms is for a server"),
        ((SMALL, "--project", "t4", "--why"), "a projection measures nothing"),
        ((SMALL, "--project", "t4", "-o", "half"), "half exists"),
        (("fasterrcnn_resnet50_fpn", "--project", "t4"), "covers neither RoIAlign nor NMS"),
        (("some.onnx", "--project", "t4"), "give the artifact that it was exported from"),
    ],
)
def test_what_cannot_be_projected_is_refused(place: Path, words: tuple[str, ...], said: str) -> None:
    done = zygote.run(["bench", *words], place)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
