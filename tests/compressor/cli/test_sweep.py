"""Whatever is typed, the answer is a sentence: what, where, what to do next; never a page of frames."""

import resource
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from compressor.cli import main

NET = ["prune", "resnet20_cifar", "--rate", "0.5", "--dry-run"]
BAD: list[Sequence[str]] = [
    [*NET, "--classes", "0"],
    [*NET, "--classes", "-3"],
    [*NET, "--classes", str(2**70)],
    [*NET, "--seed", "-1"],
    [*NET, "--seed", str(2**64)],
    [*NET, "--device", "meta"],
    [*NET, "--device", "mps"],
    [*NET, "--device", "xpu"],
    [*NET, "--device", "cuda:999"],
    [*NET, "--device", "\x1b[31mcpu"],
    [*NET, "--input", "3x100000000x100000000"],
    [*NET, "--input", "3x-1x32"],
    [*NET, "--input", "x" * 1000],
    [*NET, "--input", "9" * 5000],
    [*NET, "--data", "synthetic:999999999x3x32x32"],
    [*NET, "--data", "synthetic:" + "9" * 400 + "x3x32x32"],
    [*NET, "--data", "synthetic:0x3x32x32"],
    [*NET, "--data", "npz:" + "a" * 5000],
    [*NET, "--data", "imagefolder:" + "a" * 5000],
    [*NET, "--data", "cifar10:\0"],
    [*NET, "--data", "no[red]thing:x"],
    [*NET, "--weights", "a" * 5000],
    [*NET, "--weights", "/dev/zero"],
    [*NET, "--method", "l1[/b]"],
    [*NET, "--option", "x=" + "[" * 50_000],
    [*NET, "--rate-of", "layer1*=nan"],
    ["prune", "resnet20_cifar", "--rates", "[0.]*1000000000", "--dry-run"],
    ["prune", "resnet20_cifar", "--rates", "[0.]*" + "9" * 5000, "--dry-run"],
    ["prune", "resnet20_cifar", "--rate", "nan", "--dry-run"],
    ["prune", "resnet20_cifar", "--macs", "inf", "--dry-run"],
    ["prune", "resnet20_cifar", "--rate", "0.5", "-o", "/proc/nothing/x"],
    ["prune", "resnet20_cifar", "--rate", "0.5", "-o", "a" * 300],
    ["prune", "resnet20_cifar", "--rate", "0.5", "-o", "/dev/full"],
    ["prune", "m[red]x", "--rate", "0.5", "-o", "x"],
    ["prune", "a[/b]", "--rate", "0.5", "-o", "x"],
    ["prune", "\x1b[2J:x", "--rate", "0.5", "-o", "x"],
    ["bench", "resnet20_cifar", "--device", "tpu"],
    ["bench", "resnet20_cifar", "--threads", "100000"],
    ["bench", "resnet20_cifar", "--threads", "0"],
    ["bench", "resnet20_cifar", "--batch", "999999999"],
    ["bench", "resnet20_cifar", "--batch", "0"],
    ["bench", "resnet20_cifar", "--seconds", "nan"],
    ["bench", "classifier.onnx", "resnet20_cifar", "--input", "3x64x64"],
    ["eval", "lying.onnx", "--data", "coco:nothing"],
    ["eval", "unknown.onnx", "--data", "digits"],
    ["eval", "garbage.onnx", "--data", "digits"],
    ["eval", "empty.onnx", "--data", "digits"],
    ["eval", "/dev/zero", "--data", "digits"],
    ["run", "deep.toml", "--data", "digits"],
    ["run", "twice.toml", "--data", "digits"],
    ["run", "/dev/zero", "--data", "digits"],
    ["run", "folder", "--data", "digits"],
    ["finetune", "folder", "-o", "x", "--data", "digits"],
    ["finetune", "nothing\nat all", "-o", "x", "--data", "digits"],
    ["export", "folder", "-o", "x.onnx"],
    ["export", "nothing", "-o", "x.onnx"],
    ["detect", "classifier.onnx", "folder", "-o", "found"],
    [*NET, "--data", "npz:bomb.npz"],
    [*NET, "--data", "npz:garbage.onnx"],
    ["models", ":"],
    ["models", "os:system"],
    ["models", "detection.models:build"],
]


def _onnx(path: Path, **properties: str) -> None:
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3, 32, 32]) for n in ("input", "y")
    ]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {f"compress.{key}": value for key, value in properties.items()})
    onnx.save(model, path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what they say."""
    where = tmp_path_factory.mktemp("sweep")
    spec = '{"shapes": [[3, 32, 32]]}'
    _onnx(where / "classifier.onnx", input=spec, task="classification")
    _onnx(where / "lying.onnx", input=spec, task="detection", finds="boxes", classes="many")
    _onnx(where / "unknown.onnx", input='{"shapes": "[' + "[" * 5000 + '"}', task="os:system")
    (where / "garbage.onnx").write_bytes(bytes(range(256)) * 10)
    (where / "empty.onnx").touch()
    (where / "deep.toml").write_text("x = " + "[" * 100_000)
    (where / "twice.toml").write_text("[model]\narch = 'a'\n[model]\n")
    (where / "folder").mkdir()
    with zipfile.ZipFile(where / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", bytes(300 * 2**20))
    return where


@pytest.mark.parametrize(
    "words", BAD, ids=lambda words: " ".join(words)[:60].encode("unicode_escape").decode()
)
def test_a_mistake_is_a_sentence(
    place: Path, words: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["compress", *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code in (1, 2, 5), said.err
    assert "Internal error" not in said.err
    assert "Traceback" not in said.err
    assert "Hint" in said.err or "Usage" in said.err
    assert "\x1b[2J" not in said.err
    assert said.out == ""
    assert not (place / "x").exists()


def test_names_are_shown_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("m[red]x", "a[/b]", "x:two:y"):
        monkeypatch.setattr(sys, "argv", ["compress", "models", name])
        with pytest.raises(SystemExit):
            main()
        assert name in capsys.readouterr().err


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))


@pytest.mark.parametrize("sink", ["/dev/full"])
def test_a_full_disk_under_the_answer_is_a_sentence(sink: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "compressor", "models", "--json"]
    with open(sink, "w") as full:
        done = subprocess.run(
            words,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=tmp_path,
            preexec_fn=_limited,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
