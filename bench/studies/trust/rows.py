"""Rows on a stranger's code, wrong figures and mistakes that ended without a sentence."""

import shutil
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from bench.studies.trust.registry import ROWS, row
from bench.studies.trust.shell import NET, Shell, unsaid


def _names(arch: str, **arguments: Any) -> Callable[[dict[str, Any]], None]:
    def change(papers: dict[str, Any]) -> None:
        papers["arch"], papers["arch_kwargs"] = arch, arguments

    return change


@row("1 artifact that names os:system")
def system(shell: Shell) -> str:
    """Nothing is executed."""
    shell.manifest(shell.artifact(), _names("os:system", command="touch pwned"))
    shell.run("eval", "a", "--data", "digits")
    return "the command in it was executed" if (shell.place / "pwned").exists() else ""


@row("1 artifact that names shutil:rmtree")
def rmtree(shell: Shell) -> str:
    """Nothing is removed."""
    (shell.place / "victim").mkdir()
    shell.manifest(shell.artifact(), _names("shutil:rmtree", path="victim"))
    shell.run("eval", "a", "--data", "digits")
    return "" if (shell.place / "victim").exists() else "a folder was removed"


@row("1 artifact that names a module of the current folder")
def module(shell: Shell) -> str:
    """Nothing is imported."""
    shell.write({"mine.py": "open('pwned', 'w')\n"})
    shell.manifest(shell.artifact(), _names("mine:build"))
    shell.run("eval", "a", "--data", "digits")
    return "the module was imported" if (shell.place / "pwned").exists() else ""


@row("1 names with markup")
def markup(shell: Shell) -> str:
    """Names are shown as they are."""
    (shell.place / "a[").mkdir()
    for name in ("m[red]x.onnx", "a[/b].onnx"):
        shutil.copy(shell.models["fp32"], shell.place / name)
    done = shell.run("bench", "m[red]x.onnx", "a[/b].onnx", "--batch", "1", "--seconds", "0.2")
    shown = "".join(done.stdout.split())
    return unsaid(done) or ("" if "m[red]x" in shown else "m[red]x is not shown as it is")


@row("1 names with line breaks in model cards")
def headings(shell: Shell) -> str:
    """No name makes a heading."""
    from torchvision.models import resnet18

    name = "w\n# Forged.pth"
    torch.save(resnet18().state_dict(), shell.place / name)
    shell.run("prune", "resnet18", "--rate", "0.5", "--weights", name, "-o", "out")
    card = shell.place / "out" / "README.md"
    lines = card.read_text().splitlines() if card.exists() else []
    return (
        "the card has a heading of the name's" if any(line.startswith("# Forged") for line in lines) else ""
    )


@row("2 bench of two sizes of input")
def sizes(shell: Shell) -> str:
    """Different inputs are refused, or said."""
    done = shell.run("bench", "squeezenet1_1", str(shell.models["fp32"]), "--batch", "1", "--seconds", "0.2")
    compared = done.returncode == 0 and ("faster" in done.stdout or "slower" in done.stdout)
    same = "32x32" in done.stderr + done.stdout
    return "224x224 was compared with 32x32" if compared and not same else ""


@row("2 precision of an fp16 file")
def precision(shell: Shell) -> str:
    """It says fp16."""
    done = shell.run("bench", str(shell.models["fp16"]), "--batch", "1", "--seconds", "0.2", "--json")
    return "it says fp32" if '"precision": "fp32"' in done.stdout else ""


@row("2 a model of 1000 classes on 10")
def classes(shell: Shell) -> str:
    """It is refused."""
    for split in ("train", "val"):
        for number in range(10):
            folder = shell.place / "pictures" / split / f"c{number}"
            folder.mkdir(parents=True)
            for picture in range(2):
                Image.fromarray(np.full((40, 40, 3), 20 * number + picture, np.uint8)).save(
                    folder / f"{picture}.png"
                )
    done = shell.run("eval", "squeezenet1_1", "--data", "imagefolder:pictures")
    return "scored without a word" if done.returncode == 0 and "class" not in done.stderr else ""


@row("2 NaN in JSON")
def not_a_number(shell: Shell) -> str:
    """It is an error with a sentence."""
    state = torch.load(shell.models["weights"], weights_only=True)
    state["fc.bias"][:] = float("nan")
    torch.save(state, shell.place / "nan.pth")
    done = shell.run("eval", NET, "--weights", "nan.pth", "--data", "digits", "--json")
    return "NaN was printed as JSON" if "NaN" in done.stdout else unsaid(done)


@row("6 export.py in the current folder")
def shadowed(shell: Shell) -> str:
    """It is not imported."""
    shell.write({"export.py": "raise SystemExit(7)\n"})
    done = shell.run("bench", str(shell.models["fp32"]), "--batch", "1", "--seconds", "0.2")
    return "the user's export.py was run" if done.returncode == 7 else unsaid(done)


def _mistake(name: str, *words: str, setup: Callable[[Shell], None] = lambda shell: None) -> None:
    def tried(shell: Shell) -> str:
        setup(shell)
        given = {"FP32": str(shell.models["fp32"]), "ARTIFACT": str(shell.models["artifact"])}
        return unsaid(shell.run(*(given.get(word, word) for word in words)))

    ROWS[f"5 {name}"] = tried


def _odd(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Shell], None]:
    """Return what writes a checkpoint of which one tensor is not like the others."""

    def write(shell: Shell) -> None:
        state = torch.load(shell.models["weights"], weights_only=True)
        torch.save({**state, "fc.weight": change(state["fc.weight"])}, shell.place / "w.pth")

    return write


def _integers(shell: Shell) -> None:
    torch.save({1: torch.zeros(2), 2: torch.zeros(2)}, shell.place / "w.pth")


def _deep(shell: Shell) -> None:
    (shell.place / "a").mkdir()
    (shell.place / "a" / "manifest.json").write_text("[" * 100_000)
    (shell.place / "a" / "model.safetensors").write_bytes(b"")


_TRAIN: Final = ("--data", "digits", "--epochs", "1", "-o", "out")
_mistake("--device meta", "finetune", "ARTIFACT", *_TRAIN, "--device", "meta")
_mistake("--device mps", "eval", "ARTIFACT", "--data", "digits", "--device", "mps")
_mistake("bench --device tpu", "bench", "FP32", "--device", "tpu")
_mistake("--classes 0", "prune", NET, "--rate", "0.5", "--classes", "0", "--dry-run")
_mistake("a seed out of range", "prune", NET, "--rate", "0.5", "--seed", str(2**70), "--dry-run")
_mistake("100 000 threads", "bench", "FP32", "--threads", "100000", "--seconds", "0.2")
_mistake("a huge input", "prune", "resnet18", "--rate", "0.5", "--input", "3x1000000x1000000", "--dry-run")
_mistake("a huge batch", "bench", "FP32", "--batch", "1000000000")
_mistake("a huge data set", "eval", "ARTIFACT", "--data", "synthetic:1000000000000x3x32x32")
_mistake("a billion rates", "prune", NET, "--rates", "[0.]*1000000000", "--dry-run")
_mistake("integer keys", "prune", NET, "--rate", "0.5", "--weights", "w.pth", "--dry-run", setup=_integers)
_mistake(
    "sparse tensors", "prune", NET, "--rate", "0.5", "--weights", "w.pth", "--dry-run",
    setup=_odd(torch.Tensor.to_sparse),
)  # fmt: skip
_mistake(
    "complex tensors", "prune", NET, "--rate", "0.5", "--weights", "w.pth", "--dry-run",
    setup=_odd(lambda weight: weight.to(torch.complex64)),
)  # fmt: skip
_mistake(
    "quantised tensors", "prune", NET, "--rate", "0.5", "--weights", "w.pth", "--dry-run",
    setup=_odd(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)),
)  # fmt: skip
_mistake("a deep manifest", "eval", "a", "--data", "digits", setup=_deep)
_mistake("a long path", "eval", "x" * 5000, "--data", "digits")
_mistake("an output that cannot be written", "finetune", "ARTIFACT", *_TRAIN[:-1], "/proc/none/out")
_mistake(
    "a report that cannot be written", "bench", "FP32", "--batch", "1", "--seconds", "0.2", "-o", "/dev/full"
)


@row("5 export of a model by name")
def by_name(shell: Shell) -> str:
    """It is exported, or told what to do."""
    done = shell.run("export", NET, "-o", "named.onnx")
    return (
        f"exit code {done.returncode}: {done.stderr.strip()[-120:]}" if done.returncode == 1 else unsaid(done)
    )
