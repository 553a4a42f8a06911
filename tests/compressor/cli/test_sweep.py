"""Whatever is typed, the answer is a sentence: what, where, what to do next; never a page of frames."""

import resource
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from compressor.cli import main

NET = ["prune", "resnet20_cifar", "--rate", "0.5", "--dry-run"]
BAD: list[tuple[int, Sequence[str]]] = [
    (2, [*NET, "--classes", "0"]),
    (2, [*NET, "--classes", "-3"]),
    (2, [*NET, "--classes", str(2**70)]),
    (2, [*NET, "--seed", "-1"]),
    (2, [*NET, "--seed", str(2**64)]),
    (2, [*NET, "--device", "meta"]),
    (2, [*NET, "--device", "mps"]),
    (2, [*NET, "--device", "xpu"]),
    (5, [*NET, "--device", "cuda:999"]),
    (2, [*NET, "--device", "\x1b[31mcpu"]),
    (2, [*NET, "--input", "3x100000000x100000000"]),
    (2, [*NET, "--input", "3x-1x32"]),
    (2, [*NET, "--input", "x" * 1000]),
    (2, [*NET, "--input", "9" * 5000]),
    (2, [*NET, "--data", "synthetic:999999999x3x32x32"]),
    (2, [*NET, "--data", "synthetic:" + "9" * 400 + "x3x32x32"]),
    (2, [*NET, "--data", "synthetic:0x3x32x32"]),
    (2, [*NET, "--data", "npz:" + "a" * 5000]),
    (2, [*NET, "--data", "imagefolder:" + "a" * 5000]),
    (2, [*NET, "--data", "cifar10:\0"]),
    (2, [*NET, "--data", "no[red]thing:x"]),
    (2, [*NET, "--weights", "a" * 5000]),
    (2, [*NET, "--weights", "/dev/zero"]),
    (2, [*NET, "--method", "l1[/b]"]),
    (2, [*NET, "--option", "x=" + "[" * 50_000]),
    (2, [*NET, "--rate-of", "layer1*=nan"]),
    (2, ["prune", "resnet20_cifar", "--rates", "[0.]*1000000000", "--dry-run"]),
    (2, ["prune", "resnet20_cifar", "--rates", "[0.]*" + "9" * 5000, "--dry-run"]),
    (2, ["prune", "resnet20_cifar", "--rate", "nan", "--dry-run"]),
    (2, ["prune", "resnet20_cifar", "--macs", "inf", "--dry-run"]),
    (1, ["prune", "resnet20_cifar", "--rate", "0.5", "-o", "/proc/nothing/x"]),
    (2, ["prune", "resnet20_cifar", "--rate", "0.5", "-o", "a" * 300]),
    (2, ["prune", "resnet20_cifar", "--rate", "0.5", "-o", "/dev/full"]),
    (2, ["prune", "m[red]x", "--rate", "0.5", "-o", "x"]),
    (2, ["prune", "a[/b]", "--rate", "0.5", "-o", "x"]),
    (2, ["prune", "\x1b[2J:x", "--rate", "0.5", "-o", "x"]),
    (2, ["bench", "resnet20_cifar", "--device", "tpu"]),
    (2, ["bench", "resnet20_cifar", "--threads", "1000"]),
    (2, ["bench", "resnet20_cifar", "--threads", "100000"]),
    (2, ["bench", "resnet20_cifar", "--threads", "0"]),
    (2, ["bench", "resnet20_cifar", "--batch", "999999999"]),
    (2, ["bench", "resnet20_cifar", "--batch", "0"]),
    (2, ["bench", "resnet20_cifar", "--seconds", "nan"]),
    (2, ["bench", "classifier.onnx", "resnet20_cifar", "--input", "3x64x64"]),
    (2, ["eval", "lying.onnx", "--data", "coco:nothing"]),
    (2, ["eval", "unknown.onnx", "--data", "digits"]),
    (2, ["eval", "garbage.onnx", "--data", "digits"]),
    (2, ["eval", "empty.onnx", "--data", "digits"]),
    (2, ["eval", "/dev/zero", "--data", "digits"]),
    (2, ["run", "deep.toml", "--data", "digits"]),
    (2, ["run", "twice.toml", "--data", "digits"]),
    (2, ["run", "/dev/zero", "--data", "digits"]),
    (2, ["run", "folder", "--data", "digits"]),
    (2, ["finetune", "folder", "-o", "x", "--data", "digits"]),
    (2, ["finetune", "nothing\nat all", "-o", "x", "--data", "digits"]),
    (2, ["export", "folder", "-o", "x.onnx"]),
    (2, ["export", "nothing", "-o", "x.onnx"]),
    (2, ["detect", "classifier.onnx", "folder", "-o", "found"]),
    (2, [*NET, "--data", "npz:bomb.npz"]),
    (2, [*NET, "--data", "npz:garbage.onnx"]),
    (2, ["prune", "a" * 300, "--rate", "0.5", "-o", "x"]),
    (2, ["export", "resnet20_cifar", "-o", "a" * 300 + ".onnx"]),
    (2, ["bench", "resnet20_cifar", "--save", "a" * 300 + ".json"]),
    (2, ["inspect", "resnet20_cifar", "--data", "digits", "-o", "a" * 300 + ".svg"]),
    (2, ["models", ":"]),
    (2, ["models", "os:system"]),
    (2, ["models", "detection.models:build"]),
    (1, ["export", "damaged", "-o", "x.onnx"]),
    (1, ["eval", "shifted.onnx", "--data", "digits"]),
    *([] if find_spec("tensorrt") else [(5, ["bench", "resnet20_cifar", "--backend", "tensorrt"])]),
]
"""Exit codes and words: 2 for a mistake of the user's, 5 for a device or runtime that is not here, 1 for what
is damaged, or for a disk that refuses."""


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
    _onnx(where / "shifted.onnx", input='{"shapes": [[3, 16, 16]]}', task="classification")
    (where / "damaged").mkdir()
    (where / "damaged" / "manifest.json").write_text('{"schema_version": 1, "arch"')
    with zipfile.ZipFile(where / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", bytes(300 * 2**20))
    return where


@pytest.mark.parametrize(
    ("code", "words"),
    BAD,
    ids=lambda part: " ".join(part)[:60].encode("unicode_escape").decode() if isinstance(part, list) else "",
)
def test_a_mistake_is_a_sentence(
    place: Path,
    code: int,
    words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["compress", *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == code, said.err
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
    assert "Internal error" not in done.stderr
