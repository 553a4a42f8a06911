"""``compress run`` as a user types it: the chain, resuming after a kill, overrides, and mistakes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from compressor.cli import main
from tests import zygote

RECIPE = """
[model]
arch = "resnet20_cifar"

[prune]
method = "l2"
rates = "[0.]+[0.25]*2+[0.5]*9"

[training]
epochs = 1
lr = 0.02

[expect]
params = {params}
"""
PARAMS = 125_602  # derived in parameters_by_hand()


def launch(*words: object, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "compressor", "run", *(str(word) for word in words)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def compress_run(*words: object, cwd: Path, code: int = 0) -> tuple[str, str]:
    done = zygote.run(["run", *(str(word) for word in words)], cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def answer(*words: object, cwd: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(compress_run(*words, "--json", cwd=cwd)[0])
    assert next(iter(document)) == "schema_version"
    return document


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipes and a tiny data set of ten classes."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(RECIPE.format(params=PARAMS))
    (folder / "wrong.toml").write_text(RECIPE.format(params=PARAMS + 1))
    (folder / "typo.toml").write_text(RECIPE.format(params=PARAMS).replace("method", "metod"))
    (folder / "type.toml").write_text(RECIPE.format(params='"many"'))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(160) % 10
    np.savez(folder / "tiny.npz", x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    return folder


def test_the_whole_chain_on_real_images(place: Path) -> None:
    out, err = compress_run("tiny.toml", "--data", "digits", "--json", cwd=place)
    assert "note on val: these images are held out of digits's train split" in err
    document: dict[str, Any] = json.loads(out)
    assert document["folder"] == "runs/tiny"
    assert [(s["name"], s["skipped"]) for s in document["stages"]] == [
        ("prune", False),
        ("finetune", False),
        ("eval", False),
        ("export", False),
    ]
    assert all((place / stage["output"]).exists() for stage in document["stages"])
    assert document["cost_after"]["params"] == PARAMS == parameters_by_hand()
    scores = document["metrics"]
    assert set(scores) == {"val fine-tuned", "test dense", "test pruned", "test fine-tuned"}
    assert scores["test fine-tuned"]["images"] == 359
    again = answer("tiny.toml", "--data", "digits", cwd=place)
    assert all(stage["skipped"] for stage in again["stages"])
    assert again["metrics"] == scores
    out, err = compress_run("tiny.toml", "--data", "digits", cwd=place)
    assert err.count("done before") == 4
    assert f"{scores['test fine-tuned']['top1']:.2f} %" in out
    assert f"{PARAMS:,}" in out


def parameters_by_hand() -> int:
    """Return the size of a ResNet-20 whose stages keep 16 * 0.75, 32 * 0.75 and 64 channels, half inside."""
    outputs, inner = (12, 24, 64), (8, 16, 32)
    total, incoming = 3 * 16 * 9 + 2 * 16, 16
    for out, hidden in zip(outputs, inner, strict=True):
        for _ in range(3):
            total += incoming * hidden * 9 + hidden * out * 9 + 2 * hidden + 2 * out
            incoming = out
    return total + 64 * 10 + 10


CHANGED = ["tiny.toml", "--data", "npz:tiny.npz", "--epochs", 2, "--set", "lr=0.5", "--seed", 3,
           "--set", "prune.method=l1", "--set", "export.onnx=false", "-o", "changed"]  # fmt: skip


@pytest.fixture(scope="module")
def changed(place: Path) -> Path:
    """A run folder that was made with other settings than the recipe's."""
    answer(*CHANGED, cwd=place)
    return place / "changed"


def test_the_folder_says_by_which_settings_it_was_made(place: Path, changed: Path) -> None:
    manifest = json.loads((changed / "model" / "manifest.json").read_text())
    recipe = manifest["recipe"]
    assert (recipe["epochs"], recipe["lr"], recipe["seed"]) == (2, 0.5, 3)
    assert manifest["method"].startswith("l1, [0.]")
    assert manifest["data"] == "npz:tiny.npz"
    # the resolved recipe alone, without any option, is the same run
    again = answer("changed/recipe.toml", "-o", "changed", cwd=place)
    assert [stage["skipped"] for stage in again["stages"]] == [True, True, True]


def test_a_folder_keeps_to_its_settings(place: Path, changed: Path) -> None:
    before = sorted(changed.rglob("*"))
    _, err = compress_run(*CHANGED, "--set", "lr=0.3", cwd=place, code=2)
    assert "training.lr was 0.5, is 0.3" in err
    assert "choose another -o" in err
    assert sorted(changed.rglob("*")) == before


def test_a_run_killed_between_stages_leaves_out_what_is_done(place: Path, changed: Path) -> None:
    """As if killed after a stage had written its output and before that was noted."""
    file = changed / "run.json"
    record = json.loads(file.read_text())
    digests = {stage["name"]: stage["digest"] for stage in record["stages"]}
    record["stages"] = [stage for stage in record["stages"] if stage["name"] != "eval"]
    file.write_text(json.dumps(record))
    document = answer(*CHANGED, cwd=place)
    assert [stage["skipped"] for stage in document["stages"]] == [True, True, False]
    assert {stage["name"]: stage["digest"] for stage in document["stages"]} == digests


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_run_continues_and_ends_with_the_same_weights(place: Path) -> None:
    words = ["tiny.toml", "--data", "npz:tiny.npz", "--epochs", 6, "--set", "export.onnx=false"]
    answer(*words, "-o", "whole", cwd=place)
    with launch(*words, "-o", "killed", cwd=place) as process:
        wait_for(place / "killed" / "tuned.run" / "checkpoint.pt", process)
        process.send_signal(signal.SIGKILL)
    assert not (place / "killed" / "tuned").exists()
    begun = (place / "killed" / "tuned.run" / "log.jsonl").read_text().splitlines()
    document = answer(*words, "-o", "killed", cwd=place)
    skipped = {stage["name"]: stage["skipped"] for stage in document["stages"]}
    assert skipped == {"prune": True, "finetune": False, "eval": False}
    log = (place / "killed" / "tuned.run" / "log.jsonl").read_text().splitlines()
    assert log[: len(begun)] == begun  # its seconds are in there: these epochs were not run again
    one, other = (load_file(place / name / "model" / "model.safetensors") for name in ("whole", "killed"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_shots_prune_and_train_in_turn(place: Path) -> None:
    shots = ["--set", "prune.shots=2", "--set", "prune.calibration_epochs=2"]
    words = ["tiny.toml", "--data", "npz:tiny.npz", *shots, "--set", "export.onnx=false", "-o", "shots"]
    document = answer(*words, cwd=place)
    names = [stage["name"] for stage in document["stages"]]
    assert names == ["prune 1/2", "train 1/2", "prune 2/2", "train 2/2", "finetune", "eval"]
    assert document["cost_after"]["params"] == PARAMS
    manifest = json.loads((place / "shots" / "pruned-1" / "manifest.json").read_text())
    assert PARAMS < manifest["cost_after"]["params"] < manifest["cost_before"]["params"]


def test_a_dry_run_writes_nothing_and_needs_no_data(place: Path) -> None:
    before = sorted(place.rglob("*"))
    document = answer("tiny.toml", "--dry-run", cwd=place)
    assert document["dry_run"] is True
    assert document["cost_after"]["params"] == PARAMS
    assert {g["name"]: g["kept"] for g in document["plan"]["groups"]}["layer2.0.conv1"] == 16
    assert sorted(place.rglob("*")) == before


MISTAKES = {
    "no data": (["tiny.toml"], 2, ["need images", "--data"]),
    "no file": (["absent.toml", "--data", "digits"], 2, ["cannot read recipe absent.toml"]),
    "unknown key": (["typo.toml", "--data", "digits"], 2, ["[prune]: unknown key 'metod'", "method"]),
    "wrong type": (["type.toml", "--data", "digits"], 2, ["[expect]: params is 'many'", "valid integer"]),
    "other cost": (["wrong.toml", "--data", "digits"], 2, [f"{PARAMS + 1:,}", f"{PARAMS:,}", "[expect]"]),
    "other cost, dry": (["wrong.toml", "--dry-run"], 2, [f"has {PARAMS:,}"]),
    "unknown data": (["tiny.toml", "--data", "digit"], 2, ["'digit'", "did you mean digits"]),
    "no weights": (["tiny.toml", "--data", "digits", "--weights", "no.pth"], 2, ["no weights at no.pth"]),
    "unknown table": (["tiny.toml", "--set", "prun.rate=1", "--dry-run"], 2, ["did you mean prune"]),
    "bad setting": (["tiny.toml", "--set", "lr", "--data", "digits"], 2, ["--set lr", "key=value"]),
    "too few classes": (
        ["tiny.toml", "--data", "digits", "--set", "model.classes=4"],
        2,
        ["there are 4 classes"],
    ),
    "unknown criterion": (
        ["tiny.toml", "--data", "digits", "--set", "prune.method=l3"],
        2,
        ["unknown criterion 'l3'"],
    ),
    "unknown part": (
        ["tiny.toml", "--dry-run", "--set", 'prune.parts=["backbone"]'],
        2,
        ["resnet20_cifar has no scope 'backbone'", "its scopes are"],
    ),
    "unknown option": (
        ["tiny.toml", "--dry-run", "--set", "prune.method=coring", "--set", "prune.options.metrik=vbd"],
        2,
        ["'metrik'", "did you mean metric"],
    ),
    "option of a wrong type": (
        ["tiny.toml", "--dry-run", "--set", "prune.method=coring", "--set", "prune.options.rank=no"],
        2,
        ["rank"],
    ),
    "taken folder": (["tiny.toml", "--data", "digits", "-o", "taken"], 2, ["taken exists and holds no run"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_in_a_message_and_leaves_nothing(
    case: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, code, expected = MISTAKES[case]
    (place / "taken").mkdir(exist_ok=True)
    (place / "taken" / "mine.txt").write_text("mine")
    before = sorted(place.rglob("*"))
    monkeypatch.chdir(place)
    folder = [] if "-o" in words or "--dry-run" in words else ["-o", "mistaken"]
    monkeypatch.setattr(sys, "argv", ["compress", "run", *words, *folder])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    said = " ".join(printed.err.split())
    assert end.value.code == code, said
    assert printed.out == ""
    for part in expected:
        assert part in said, said
    assert sorted(place.rglob("*")) == before


def test_under_torchrun_it_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    _, err = compress_run("tiny.toml", "--data", "npz:tiny.npz", "-o", "two", cwd=place, code=2)
    assert "torchrun is for eval and finetune" in err
    assert not (place / "two").exists()
