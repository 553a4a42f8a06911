"""A user's mistakes: each a message in three parts and an exit code; nothing is lost or half written."""

import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from compressor.cli import main

PRUNE = ["prune", "resnet20_cifar", "--rate", "0.5"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the files that the table below speaks of."""
    (tmp_path / "garbage.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": print}))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    (tmp_path / "net.onnx").write_bytes(b"not an onnx file")
    (tmp_path / "bad.toml").write_text("epochs = 'many'\n")
    (tmp_path / "typo.toml").write_text("epoch = 3\n")
    torch.save({"state_dict": {"module.conv1.weight": torch.zeros(16, 3, 3, 3)}}, tmp_path / "part.th")
    _npz(tmp_path / "large.npz", (8, 40, 40, 3), 8)
    _npz(tmp_path / "empty.npz", (0, 32, 32, 3), 0)
    labels = np.full(8, 10)
    images = np.zeros((8, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "labels.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return tmp_path


def _npz(path: Path, shape: tuple[int, ...], count: int) -> None:
    images, labels = np.zeros(shape, np.uint8), np.zeros(count, np.int64)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)


TABLE = {
    "unknown model": (
        ["prune", "resnet57_cifar", "--rate", "0.5", "-o", "o"],
        2,
        ["resnet57_cifar", "did you mean resnet56_cifar"],
    ),
    "unknown factory": (["models", "no.such:thing"], 2, ["No module named", "install it"]),
    "unknown criterion": ([*PRUNE, "--method", "l3", "-o", "o"], 2, ["unknown criterion 'l3'", "l1"]),
    "unknown option of a criterion": (
        [*PRUNE, "--method", "coring", "--option", "metrik=vbd", "-o", "o"],
        2,
        ["'metrik'", "did you mean metric"],
    ),
    "bad option of a criterion": (
        [*PRUNE, "--method", "coring", "--option", "metric=vdb", "-o", "o"],
        2,
        ["'vdb'", "did you mean vbd"],
    ),
    "wrong rate length": (
        ["prune", "resnet20_cifar", "--rates", "[0.]*5", "-o", "o"],
        2,
        ["5 rates", "takes 12", "layer1.0.conv1"],
    ),
    "unknown layout": (
        ["prune", "resnet20_cifar", "--rates", "[0.]*12", "--layout", "x", "-o", "o"],
        2,
        ["no layout 'x'", "coring"],
    ),
    "rates without layout": (
        ["prune", "resnet18", "--rates", "[0.]", "-o", "o"],
        2,
        ["no published rate layout", "--macs"],
    ),
    "rate of one": (["prune", "resnet20_cifar", "--rate", "1.0", "-o", "o"], 2, ["1.0 is not in [0, 1)"]),
    "negative rate": (["prune", "resnet20_cifar", "--rate", "-0.5", "-o", "o"], 2, ["-0.5 is not in [0, 1)"]),
    "rate is not a number": (
        ["prune", "resnet20_cifar", "--rate", "nan", "-o", "o"],
        2,
        ["nan is not in [0, 1)"],
    ),
    "macs out of reach": (
        ["prune", "resnet20_cifar", "--macs", "0.0001", "-o", "o"],
        2,
        ["out of reach", "--max-rate"],
    ),
    "macs above one": (["prune", "resnet20_cifar", "--macs", "1.5", "-o", "o"], 2, ["--macs 1.5"]),
    "amount out of reach": (
        ["prune", "resnet20_cifar", "--params", "2e3", "-o", "o"],
        2,
        ["--params 2,000 parameters is out of reach", "smallest allowed network costs", "--max-rate"],
    ),
    "amount without end": (["prune", "resnet20_cifar", "--macs", "inf", "-o", "o"], 2, ["--macs inf"]),
    "share below nothing": (
        ["prune", "resnet20_cifar", "--macs", "-0.5", "-o", "o"],
        2,
        ["--macs -0.5 is not in (0, 1]", "amount"],
    ),
    "unknown price": (
        ["prune", "resnet20_cifar", "--budget", "mac=0.5", "-o", "o"],
        2,
        ["unknown price 'mac'", "did you mean macs"],
    ),
    "budget without number": (
        ["prune", "resnet20_cifar", "--budget", "macs", "-o", "o"],
        2,
        ["--budget macs has no number", "macs=0.5"],
    ),
    "no rate at all": (["prune", "resnet20_cifar", "-o", "o"], 2, ["how much to remove", "--rates"]),
    "two rates": ([*PRUNE, "--macs", "0.5", "-o", "o"], 2, ["rate and macs given"]),
    "unknown option": ([*PRUNE, "--speed", "-o", "o"], 2, ["--speed"]),
    "nowhere to write": (PRUNE, 2, ["nowhere to write", "--dry-run"]),
    "pattern without match": ([*PRUNE, "--keep", "laier*", "-o", "o"], 2, ["matches no group"]),
    "own rate without number": ([*PRUNE, "--rate-of", "layer1", "-o", "o"], 2, ["--rate-of layer1", "=0.5"]),
    "own rate without match": ([*PRUNE, "--rate-of", "laier*=0.5", "-o", "o"], 2, ["matches no group"]),
    "weights missing": ([*PRUNE, "--weights", "no.pth", "-o", "o"], 2, ["no weights at no.pth"]),
    "weights unreadable": ([*PRUNE, "--weights", "garbage.pth", "-o", "o"], 2, ["garbage.pth", "Hint"]),
    "pickle with code": ([*PRUNE, "--weights", "evil.pth", "-o", "o"], 2, ["refused", "run code"]),
    "weights incomplete": ([*PRUNE, "--weights", "part.th", "-o", "o"], 2, ["tensors are missing"]),
    "data needed": ([*PRUNE, "--method", "taylor", "-o", "o"], 2, ["needs gradients", "--data"]),
    "epochs without data": ([*PRUNE, "--epochs", "1", "-o", "o"], 2, ["needs images", "--data"]),
    "unknown data": ([*PRUNE, "--data", "digit", "-o", "o"], 2, ["'digit'", "did you mean digits"]),
    "data missing": ([*PRUNE, "--data", "npz:no.npz", "-o", "o"], 2, ["no.npz"]),
    "wrong image size": ([*PRUNE, "--data", "npz:large.npz", "-o", "o"], 2, ["40x40", "32x32"]),
    "empty dataset": ([*PRUNE, "--data", "npz:empty.npz", "-o", "o"], 2, ["Hint"]),
    "label out of range": ([*PRUNE, "--data", "npz:labels.npz", "-o", "o"], 2, ["10", "Hint"]),
    "bad recipe": ([*PRUNE, "--data", "digits", "--recipe", "bad.toml", "-o", "o"], 2, ["epochs"]),
    "misspelt recipe": (
        [*PRUNE, "--data", "digits", "--recipe", "typo.toml", "-o", "o"],
        2,
        ["did you mean epochs"],
    ),
    "bad setting": ([*PRUNE, "--data", "digits", "--epochs", "1", "--set", "lr", "-o", "o"], 2, ["--set lr"]),
    "bad input shape": ([*PRUNE, "--input", "3x0", "-o", "o"], 2, ["no input shape"]),
    "input does not fit": (
        ["models", "resnet20_cifar", "--input", "5x32x32"],
        2,
        ["does not run on", "--input"],
    ),
    "output exists": ([*PRUNE, "-o", "taken"], 2, ["taken exists"]),
    "no artifact": (["export", "taken", "-o", "x.onnx"], 2, ["no artifact"]),
    "no onnx": (["eval", "net.onnx", "--data", "digits"], 2, ["net.onnx"]),
    "no such file to bench": (["bench", "gone.onnx", "resnet20_cifar"], 2, ["no file gone.onnx"]),
    "unknown backend": (["bench", "resnet20_cifar", "--backend", "tensorrd"], 2, ["unknown backend"]),
    "no CUDA for bench": (["bench", "resnet20_cifar", "--device", "cuda"], 5, ["cuda"]),
    "no CUDA for prune": ([*PRUNE, "--device", "cuda", "-o", "o"], 5, ["CUDA is not usable"]),
    "bad batch": (["bench", "resnet20_cifar", "--batch", "one"], 2, ["--batch 'one'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_a_mistake_ends_in_a_message_and_an_exit_code(
    case: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, code, expected = TABLE[case]
    if code == 5 and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    before = sorted(p.relative_to(place) for p in place.rglob("*"))
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["compress", *words])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    said = " ".join(printed.err.split())
    assert end.value.code == code, said
    assert printed.out == ""
    assert "Traceback" not in said
    for part in expected:
        assert part in said
    assert sorted(p.relative_to(place) for p in place.rglob("*")) == before


def test_a_full_disk_leaves_no_folder_behind(place: Path) -> None:
    """A limit on file size stands in for the full disk: the write fails in the middle all the same."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    before = sorted(place.iterdir())
    command = [sys.executable, "-m", "compressor", *PRUNE, "-o", "out"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert "cannot write out" in done.stderr
    assert "Hint: free some space" in done.stderr
    assert sorted(place.iterdir()) == before
