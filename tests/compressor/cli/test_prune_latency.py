"""``compress prune --latency`` and ``compress profile --table``, as commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.layers.table import LatencyTable
from compressor.artifact import Artifact
from tests.zygote import run

MODEL = "resnet20_cifar"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where commands run, and what they measured before is kept."""
    place = tmp_path_factory.mktemp("latency")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        yield place


@pytest.fixture(scope="module")
def table(folder: Path) -> Path:
    """The table of the model, as the command writes it."""
    path = folder / "table.json"
    done = run(("profile", MODEL, "--threads", "1", "--seconds", "0.5", "--table", str(path)), folder)
    assert done.returncode == 0, done.stderr
    assert "layers over widths" in done.stdout
    assert "measuring layers over widths" in done.stderr
    (kept,) = (folder / "cache" / "compress" / "layers").iterdir()
    assert kept.name.startswith("onnxruntime-")
    return path


def test_a_model_is_cut_measured_and_written(folder: Path, table: Path) -> None:
    out = folder / "quick"
    words = ("prune", MODEL, "--latency", "0.6", "--threads", "1", "--table", str(table))
    done = run((*words, "-o", str(out), "--json"), folder)
    latency = json.loads(done.stdout)["latency"]
    assert done.returncode == (0 if latency["met"] else 4), done.stderr
    trial = latency["trials"][latency["kept"]]
    assert trial["predicted"] <= 0.6
    assert trial["speedup"]["low"] <= trial["speedup"]["value"] <= trial["speedup"]["high"]
    small = Artifact.load(out)
    block = LatencyTable.load(table).where.block
    widths = {d.kept for d in small.manifest.plan.decisions if d.kept < d.size}
    assert widths
    assert all(width % block == 0 for width in widths)
    assert "0.6 of the latency on onnxruntime, batch 1, 1 threads" in small.manifest.method


def test_a_table_travels(folder: Path, table: Path) -> None:
    document = json.loads(table.read_text())
    document["where"]["processor"] = "another"
    other = folder / "other.json"
    other.write_text(json.dumps(document))
    asked = ("prune", MODEL, "--latency", "0.6", "--threads", "1", "--table", str(other), "--dry-run")
    refused = run(asked, folder)
    assert refused.returncode == 2
    assert "measured elsewhere: processor another, here" in refused.stderr
    planned = run((*asked, "--foreign-table", "--json"), folder)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["latency"]["trials"][0]["speedup"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--latency", "soon"), "is no latency"),
        (("--latency", "0.5", "--macs", "0.5"), "latency and macs given"),
        (("--latency", "0.5", "--target", "torch"), "cannot say the time of its nodes"),
        (("--latency", "0.5", "--target", "tpu"), "unknown backend 'tpu'"),
        (("--latency", "0.5", "--batch", "0"), "a batch"),
        (("--latency", "0.5", "--threads", "0"), "cannot run on 0 threads"),
        (("--latency", "0.5", "--method", "csgd"), "trains before each cut"),
        (("--latency", "0.5", "--table", "missing.json"), "missing.json cannot be read"),
        (("--macs", "0.5", "--threads", "2"), "--threads says where --latency holds"),
        (("--rate", "0.5", "--scope", "worth"), "a rate is none"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = run(("prune", MODEL, "--dry-run", *words), folder)
    assert done.returncode in (1, 2, 5)
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "Internal error" not in done.stderr


def test_one_model_has_one_table(folder: Path) -> None:
    done = run(("profile", MODEL, "resnet32_cifar", "--table", str(folder / "two.json")), folder)
    assert done.returncode == 2
    assert "--table is of one model" in done.stderr
