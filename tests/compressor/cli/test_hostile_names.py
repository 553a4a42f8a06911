"""Names in checkpoints, folders and models that a terminal or Rich would obey: commands show them as text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests import zygote

NAMES = ("\x1b[2Jm[red]x", "a[/b]", ":two:", "[/bold]", "c\x9bd", "e\rf", "g\u2028h")
SHOWN = (r"\x1b[2Jm[red]x", "a[/b]", ":two:", "[/bold]", r"c\x9bd", r"e\x0df", r"g\u2028h")
NET = (
    "from collections import OrderedDict\n"
    "from torch import nn\n"
    "def net(num_classes=10):\n"
    "    return nn.Sequential(OrderedDict([({first!r}, nn.Conv2d(3, 8, 3)), ('relu', nn.ReLU()),\n"
    "        ({second!r}, nn.Conv2d(8, 6, 3)), ('flat', nn.Flatten()),"
    " ('fc', nn.Linear(6 * 64, num_classes))]))\n"
    "net.input_shapes = ((3, 12, 12),)\n"
)
DIGITS = ["--data", "digits"]


def run(*words: str, cwd: Path, code: int) -> str:
    """Run a command and return all that it says; it obeys nothing and breaks on nothing."""
    done = zygote.run(words, cwd)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert not [c for c in "\x1b\x9b\r\u2028" if c in said]
    assert "Internal error" not in said
    assert "Traceback" not in said
    return said


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "plain_net.py").write_text(NET.format(first="one", second="two"))
    (tmp_path / "named_net.py").write_text(NET.format(first=NAMES[0], second=NAMES[3]))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["prune", "plain_net:net", "--rate", "0.5", "-o", "x"],
        ["eval", "plain_net:net", *DIGITS],
        ["inspect", "plain_net:net", *DIGITS],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("kind", ["names", "a shape", "NaN"])
def test_keys_of_a_checkpoint(place: Path, words: list[str], kind: str) -> None:
    """Keys that the model lacks, one whose tensor has another shape, and one whose tensor holds NaN."""
    net, shown = words[1], SHOWN
    state = {name: torch.zeros(1) for name in NAMES}
    if kind != "names":
        net, shown = "named_net:net", SHOWN[:1]
        sizes = {NAMES[0]: (8, 3), NAMES[3]: (6, 8)}
        convolutions = {f"{n}.weight": torch.ones(*size, 3, 3) for n, size in sizes.items()}
        biases = {f"{n}.bias": torch.ones(size[0]) for n, size in sizes.items()}
        state = {**convolutions, **biases, "fc.weight": torch.ones(10, 384), "fc.bias": torch.ones(10)}
        wrong = torch.ones(8, 3, 5, 5) if kind == "a shape" else torch.full((8, 3, 3, 3), torch.nan)
        state[f"{NAMES[0]}.weight"] = wrong
    torch.save(state, place / "evil.pth")
    said = " ".join(run(words[0], net, *words[2:], "--weights", "evil.pth", cwd=place, code=2).split())
    found = [name for name in shown if name in said]
    assert found[:3] == list(shown[:3])
    assert not (place / "x").exists()


@pytest.mark.parametrize("problem", ["a class of val alone", "a broken image", "a folder without images"])
def test_folders_of_classes(place: Path, problem: str) -> None:
    pixels = Image.fromarray(np.zeros((12, 12, 3), np.uint8))
    for split in ("train", "val"):
        for number, name in enumerate(n for n in NAMES if "/" not in n):
            folder = place / "data" / split / name
            if problem == "a class of val alone" and split == "train" and number == 0:
                (place / "data" / split / "usual").mkdir(parents=True)
                pixels.save(place / "data" / split / "usual" / "1.png")
                continue
            folder.mkdir(parents=True)
            if problem != "a folder without images" or number:
                pixels.save(folder / f"{name}.png")
            if problem == "a broken image" and number == 0:
                (folder / f"{name}.png").write_bytes(b"no image")
    data = ["--data", "imagefolder:data", "--classes", "5"]
    for words in (["eval", "plain_net:net"], ["prune", "plain_net:net", "--rate", "0.5", "-o", "x"]):
        said = run(*words, *data, cwd=place, code=2)
        assert SHOWN[0] in " ".join(said.split())
    assert not (place / "x").exists()


def test_modules_of_a_model(place: Path) -> None:
    """They stand in tables, in explanations and in an artifact's files."""
    pruned = run("prune", "named_net:net", "--rate", "0.5", "--explain", "-o", "x", cwd=place, code=0)
    table = [line for line in pruned.splitlines() if "│" in line]
    for name in (SHOWN[0], SHOWN[3]):
        assert any(name in line for line in table)
    assert SHOWN[0] in run("models", "named_net:net", cwd=place, code=0)
    inspected = run("inspect", "named_net:net", *DIGITS, "--limit-images", "20", cwd=place, code=0)
    assert f"{SHOWN[0]} (" in inspected
    again = run("finetune", "x", "-o", "y", *DIGITS, "--epochs", "1", "--trust-code", cwd=place, code=0)
    assert "written: y" in again
    for card in place.glob("*/README.md"):
        assert "\x1b" not in card.read_text()
    run("export", "x", "-o", "x.onnx", "--trust-code", cwd=place, code=0)
    quick = ["--batch", "1", "--seconds", "0.05", "--threads", "1"]
    assert "x.onnx" in run("bench", "x.onnx", *quick, cwd=place, code=0)
