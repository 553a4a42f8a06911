"""The commands as a user types them, in processes of their own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import zygote

SMALL = ["--rate", "0.5", "--seed", "1"]


def compress(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = zygote.run([str(word) for word in words], cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def answer(*words: object, cwd: Path) -> dict[str, Any]:
    done = compress(*words, "--json", cwd=cwd)
    document: dict[str, Any] = json.loads(done.stdout)
    assert next(iter(document)) == "schema_version"
    return document


SEEN = "these images are held out of digits's train split by this program: a checkpoint that was"
"""What stands beside every figure on images that decide something and that others may have trained on."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one pruned and briefly trained artifact, ``small``."""
    where = tmp_path_factory.mktemp("cli")
    answer("prune", "resnet20_cifar", *SMALL, "--data", "digits", "--epochs", 1, "-o", "small", cwd=where)
    return where


def test_models_lists_and_explains(tmp_path: Path) -> None:
    assert {"resnet56_cifar", "resnet50", "fcn_resnet50"} <= set(answer("models", cwd=tmp_path)["models"])
    text = compress("models", "resnet20_cifar", cwd=tmp_path).stdout
    assert "fc  10 units  frozen: output of the model" in text
    assert "layout coring: 12 rates" in text
    assert "269,722 parameters, 40,551,040 MACs" in text


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    document = answer("prune", "resnet20_cifar", "--rate", 0.5, "--dry-run", cwd=tmp_path)
    groups = {g["name"]: g for g in document["plan"]["groups"]}
    assert groups["layer1.0.conv1"] == {
        "name": "layer1.0.conv1",
        "size": 16,
        "requested": 8,
        "kept": 8,
        "reason": "",
    }
    assert document["cost_before"]["params"] == 269_722
    assert {"params", "macs", "thop_macs"} == set(document["cost_after"])
    assert document["oracle"]["max_relative_difference"] <= 1e-4
    assert document["weights"] == "random initialisation"
    assert list(tmp_path.iterdir()) == []


def test_single_modules_have_rates_of_their_own(tmp_path: Path) -> None:
    words = ("prune", "resnet20_cifar", "--macs", 0.5, "--rate-of", "layer1=0.25", "--dry-run")
    groups = {g["name"]: g for g in answer(*words, cwd=tmp_path)["plan"]["groups"]}
    assert groups["layer1.0.conv1"]["kept"] == 12
    assert groups["layer1.0.conv1"]["reason"] == "--rate-of layer1=0.25"
    assert groups["layer3.0.conv1"]["kept"] < 48


def test_pruning_writes_an_artifact_with_its_accuracy(folder: Path) -> None:
    manifest = json.loads((folder / "small" / "manifest.json").read_text())
    assert set(manifest["metrics"]) == {"test dense", "test pruned", "val fine-tuned", "test fine-tuned"}
    assert manifest["recipe"]["epochs"] == 1
    assert (folder / "small.run" / "log.jsonl").read_text().count("\n") == 1


def test_eval_scores_artifact_and_onnx_alike(folder: Path) -> None:
    exported = answer("export", "small", "-o", "small.onnx", cwd=folder)
    assert exported["parity"]["max_relative_difference"] <= 1e-4
    assert exported["parity"]["cases"] >= 10
    torch_score = answer("eval", "small", "--data", "digits", cwd=folder)
    onnx_score = answer("eval", "small.onnx", "--data", "digits", "--backend", "onnxruntime", cwd=folder)
    assert torch_score["images"] == 359
    assert abs(torch_score["top1"] - onnx_score["top1"]) < 0.3
    assert torch_score["top5"] >= torch_score["top1"]
    compress("eval", "small", "--data", "digits", "--min-top1", 101, cwd=folder, code=4)


def test_bench_reports_a_ratio_with_its_interval(folder: Path) -> None:
    document = answer(
        "bench",
        "resnet20_cifar",
        "small",
        "--batch",
        "1,2",
        "--threads",
        1,
        "--seconds",
        0.3,
        "-o",
        "b.json",
        cwd=folder,
    )
    rows = {(r["model"], r["batch"]): r for r in document["results"]}
    assert rows["resnet20_cifar", 1]["speedup"] is None
    speedup = rows["small", 2]["speedup"]
    assert speedup["low"] <= speedup["value"] <= speedup["high"]
    assert rows["small", 1]["p50_ms"] > 0
    assert rows["small", 1]["throughput_per_s"] > 0
    assert json.loads((folder / "b.json").read_text())["environment"]["python"]
    again = compress("bench", "small", "small", cwd=folder, code=2)
    assert "same name" in again.stderr


def test_pruning_twice_continues_from_the_artifact(folder: Path) -> None:
    document = answer("prune", "small", "--rate", 0.25, "-o", "smaller", cwd=folder)
    small = json.loads((folder / "small" / "manifest.json").read_text())
    assert document["cost_dense"] == small["cost_before"]
    assert document["cost_before"] == small["cost_after"]
    assert document["cost_dense"]["params"] == 269_722
    manifest = json.loads((folder / "smaller" / "manifest.json").read_text())
    assert len(manifest["plan"]["steps"]) == 2
    answer("eval", "smaller", "--data", "digits", cwd=folder)


def test_a_figure_on_held_out_images_comes_with_its_caution(folder: Path) -> None:
    card = (folder / "small" / "README.md").read_text()
    assert "a checkpoint that was trained elsewhere has seen it" in card
    words = ["--data", "digits", "--epochs", 1, "--set", "lr=0.01"]
    pruned = compress("prune", "resnet20_cifar", "--rate", 0.5, *words, "-o", "noted", cwd=folder).stdout
    tuned = compress("finetune", "noted", *words, "-o", "noted2", cwd=folder).stdout
    for out in (pruned, tuned):
        assert "val fine-tuned: " in out
        assert f"note on val: {SEEN}" in out


def test_finetune_resumes_and_distils(folder: Path) -> None:
    words = ["finetune", "small", "-o", "tuned", "--data", "digits", "--epochs", 1]
    words += ["--teacher", "small", "--set", "distill=0.5", "--set", "ema=0.9"]
    document = answer(*words, cwd=folder)
    assert document["best_epoch"] == 1
    assert SEEN in document["caution"]
    assert json.loads((folder / "tuned" / "manifest.json").read_text())["recipe"]["distill"] == 0.5


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes=4):\n"
        "    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(),"
        " nn.Linear(6 * 64, num_classes))\n"
        "net.input_shapes = ((1, 12, 12),)\n"
    )
    document = answer("prune", "mine:net", "--classes", 3, "--rate", 0.5, "-o", "own", cwd=tmp_path)
    assert document["cost_after"]["params"] == 1 * 4 * 9 + 4 + 4 * 3 * 9 + 3 + 3 * 64 * 3 + 3
    refused = compress("export", "own", "-o", "own.onnx", cwd=tmp_path, code=1)
    assert "it would import mine and call net" in refused.stderr
    exported = answer("export", "own", "-o", "own.onnx", "--trust-code", cwd=tmp_path)
    assert exported["bytes"] > 0


def test_doctor_says_what_works(tmp_path: Path) -> None:
    found = {(b["backend"], b["device"]): b for b in answer("doctor", cwd=tmp_path)["backends"]}
    assert found["onnxruntime", "cpu"]["usable"]
    assert found["torch", "cpu"]["missing"] is None


def test_a_run_is_not_resumed_from_another_start(folder: Path) -> None:
    """The checkpoints of an earlier run lie where this one would put its own."""
    words = ["prune", "resnet20_cifar", *SMALL, "--method", "l2", "--data", "digits", "--epochs", 1]
    (folder / "again.run").mkdir()
    for file in (folder / "small.run").iterdir():
        (folder / "again.run" / file.name).write_bytes(file.read_bytes())
    done = compress(*words, "-o", "again", cwd=folder, code=2)
    assert "started from other weights" in done.stderr
    assert not (folder / "again").exists()


def test_coring_compat_is_an_option_of_coring_alone(tmp_path: Path) -> None:
    words = ["prune", "resnet20_cifar", "--rate", 0.5, "--dry-run"]
    short = answer(*words, "--method", "coring", "--coring-compat", cwd=tmp_path)
    long = answer(*words, "--method", "coring", "--option", "compat=true", cwd=tmp_path)
    assert short["plan"]["digest"] == long["plan"]["digest"]
    done = compress(*words, "--coring-compat", cwd=tmp_path, code=2)
    assert "--coring-compat says nothing to l1" in done.stderr


def test_export_says_what_it_is_doing(folder: Path) -> None:
    done = compress("export", "small", "-o", "half.onnx", "--precision", "fp16", cwd=folder)
    steps = [line.partition(" s  ")[2] for line in done.stderr.splitlines()]
    assert steps == ["padding widths", "exporting to ONNX", "converting to fp16", "comparing with PyTorch"]


def test_export_in_int8_with_an_accuracy_limit(folder: Path) -> None:
    options = ["--precision", "int8", "--calib", "digits", "--calib-images", 64, "--int8-auto", 2]
    done = compress("export", "small", "-o", "int8.onnx", *options, "--json", cwd=folder)
    document = json.loads(done.stdout)
    assert 0 < document["layers"]["converted"] <= document["layers"]["nodes"]
    auto = document["int8_auto"]
    assert auto["int8_score"] >= auto["fp32_score"] - 2
    assert SEEN in done.stderr
    scores = [answer("eval", m, "--data", "digits", cwd=folder)["top1"] for m in ("small", "int8.onnx")]
    assert abs(scores[0] - scores[1]) < 10


def test_export_pads_widths_that_are_no_multiples(folder: Path, tmp_path: Path) -> None:
    answer("prune", "resnet20_cifar", "--rate", 0.3, "-o", "odd", cwd=tmp_path)
    document = answer("export", "odd", "-o", "odd.onnx", "--align", 8, cwd=tmp_path)
    assert document["aligned"]["padded"]
    assert all(group["after"] % 8 == 0 for group in document["aligned"]["padded"])
    assert document["parity"]["max_relative_difference"] <= 1e-4
