"""Rows on work that was lost: kills, damage, small disks."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.studies.trust.registry import row
from bench.studies.trust.shell import NET, WAIT_S, Shell, unsaid, until

_LOOK_S: Final = 0.0005
_TRIES: Final = 6
_PAIRS: Final = 5
_FULL_BYTES: Final = 4096


@row("4 two runs in the same folder")
def two(shell: Shell) -> str:
    """One goes on, its record whole, when the other has given up."""
    words = _recipe(shell, epochs=40)
    lost = sum(_record_lost(shell, [*words[:-1], f"out{number}"]) for number in range(_PAIRS))
    return f"the one that gave up deleted the record of the other in {lost} of {_PAIRS}" if lost else ""


def _record_lost(shell: Shell, words: Sequence[str]) -> bool:
    both = [shell.start(*words), shell.start(*words)]
    try:
        until(lambda: any(one.poll() is not None for one in both))
        kept = [shell.place / words[-1] / name for name in ("run.json", "recipe.toml")]
        until(lambda: all(file.exists() for file in kept))
        return not all(file.exists() for file in kept)
    finally:
        for one in both:
            one.kill()
            one.wait()


@row("4 temporary folders after a kill")
def left(shell: Shell) -> str:
    """The next start removes what a killed one left."""
    words = ("bench", str(shell.artifact()), str(shell.artifact("b")), "--batch", "1", "--seconds")
    process = shell.start(*words, "30")
    temporary = shell.place / "tmp"
    until(lambda: any("compress" in path.name for path in temporary.iterdir()))
    time.sleep(1)
    process.kill()
    process.wait()
    stayed = {path.name for path in temporary.iterdir() if "compress" in path.name}
    shell.run(*words, "0.2")
    kept = [name for name in stayed if (temporary / name).exists()]
    return f"{len(kept)} temporary folders stayed" if kept else ""


@row("4 SIGTERM")
def terminated(shell: Shell) -> str:
    """It ends like Ctrl-C, with a sentence on how to go on."""
    process = shell.start(
        "finetune", str(shell.artifact()), "--data", "digits", "--epochs", "60", "-o", "out"
    )
    log = shell.place / "log"
    until(lambda: "epoch" in log.read_text())
    process.send_signal(signal.SIGTERM)
    status = process.wait(WAIT_S)
    return "" if status == 130 else f"it ended with {status} and said nothing"


@row("4 a run that was killed as its folder was made")
def young(shell: Shell) -> str:
    """The same command goes on, whenever the first one was killed."""
    words = _recipe(shell, epochs=1)
    refused = 0
    for number in range(_TRIES):
        output = shell.place / f"out{number}"
        process = shell.start(*words[:-1], output.name)
        until(output.exists, _LOOK_S)
        process.kill()
        process.wait()
        refused += shell.run(*words[:-1], output.name).returncode != 0
    return f"{refused} of {_TRIES} were refused for ever" if refused else ""


@row("4 one flipped bit in a checkpoint")
def flipped(shell: Shell) -> str:
    """It is named, or the run goes on from the checkpoint before it."""
    words = ("finetune", str(shell.artifact()), "--data", "digits", "--epochs", "4", "-o", "out")
    process = shell.start(*words)
    log = shell.place / "log"
    until(lambda: _lines(shell.place, "out*/log.jsonl") >= 2)
    process.kill()
    process.wait()
    file = next(iter(shell.place.glob("out*/checkpoint.pt")), None)
    if file is None:
        return f"nothing to damage: {log.read_text()[-200:]}"
    content = bytearray(file.read_bytes())
    # The exponent of a float: tensors begin at multiples of 64.
    content[len(content) // 2 // 64 * 64 + 3] ^= 0x40
    file.write_bytes(content)
    done = shell.run(*words)
    return "" if "checkpoint" in done.stderr else f"read without a word, exit {done.returncode}"


@row("4 measurements of inspect where its list cannot be written")
def measured(shell: Shell) -> str:
    """What was measured stays."""
    few = ("--limit-images", "20", "--group", "layer1.*")
    words = ("inspect", NET, "--data", "digits", "-o", "out.svg", *few)
    shell.run(*words)
    before = _lines(shell.place, "out*.jsonl")
    (shell.place / "out.svg").unlink()
    shell.run(*words, file_bytes=64)
    after = _lines(shell.place, "out*.jsonl")
    return f"{before - after} of {before} measurements are gone" if after < before else ""


@row("4 a full disk")
def full(shell: Shell) -> str:
    """Every command says so, and leaves nothing half written."""
    with _disk(shell.place / "disk") as disk:
        (disk / "filler").write_bytes(bytes(_FULL_BYTES))
        return _written(shell, disk)


@row("4 a disk that is read only")
def read_only(shell: Shell) -> str:
    """Every command says so."""
    with _disk(shell.place / "disk") as disk:
        _run("mount", "-o", "remount,ro", str(disk))
        return _written(shell, disk)


def _written(shell: Shell, disk: Path) -> str:
    """Let every command write onto a disk that takes nothing, and say what they do."""
    train = ("--data", "digits", "--epochs", "1", "-o", f"{disk}/out")
    artifact = str(shell.models["artifact"])
    commands = (
        ("finetune", artifact, *train),
        ("prune", NET, "--rate", "0.5", *train),
        ("export", artifact, "-o", f"{disk}/out.onnx"),
        ("export", artifact, "--format", "triton", "-o", f"{disk}/served"),
        ("inspect", NET, "--data", "digits", "--limit-images", "20", "--group", "layer1.*",
         "-o", f"{disk}/p.svg"),
    )  # fmt: skip
    found = [(words[0], unsaid(shell.run(*words))) for words in commands]
    failed = [f"{name}: {said[:80]}" for name, said in found if said]
    left = [path.name for path in disk.rglob("*") if path.is_file() and path.name != "filler"]
    return "; ".join([*failed, *([f"left: {', '.join(left)}"] if left else [])])


@contextlib.contextmanager
def _disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    size = f"size={_FULL_BYTES}"
    _run("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place))
    try:
        yield place
    finally:
        _run("umount", "--lazy", str(place))


def _run(name: str, *words: str) -> None:
    subprocess.run([shutil.which(name) or name, *words], check=True)


def _recipe(shell: Shell, *, epochs: int) -> tuple[str, ...]:
    model = f'[model]\narch = "{NET}"\n[prune]\nrate = 0.5\n[training]\nepochs = {epochs}\n'
    shell.write({"r.toml": model})
    return "run", "r.toml", "--data", "digits", "-o", "out"


def _lines(place: Path, pattern: str) -> int:
    return max((len(path.read_text().splitlines()) for path in place.glob(pattern)), default=0)
