"""From what the user typed to an artifact in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from compressor.artifact import Artifact, architecture_of, is_artifact, read_manifest
from compressor.base.files import exists
from compressor.base.text import foreign
from compressor.cli import output
from compressor.errors import BackendMissingError, UsageError
from compressor.zoo import NOBODY, Architecture, Trust, find
from export.backends import check_device

Levers = Mapping[str, int | None]
"""``proposals`` and ``detections`` of a detector, None where the model's own number holds."""


def trust_in(names: Iterable[str], *, everything: bool) -> Trust:
    """Return whose code may run: factories that are typed as models, or all with ``--trust-code``."""
    return replace(Trust.of(name for name in names if not exists(Path(name))), everything=everything)


def open_model(
    name: str,
    weights: Path | None,
    classes: int | None,
    shape: str | None,
    levers: Levers | None = None,
    trust: Trust = NOBODY,
    seed: int = 0,
) -> Artifact:
    """Open an artifact folder, or build a model by name and load a checkpoint into it.

    ``seed`` is of PyTorch, set before anything is built: random weights are the same whenever a command is
    run again.

    Raises:
        UsageError: there is no such model, or the options do not fit it.
    """
    if is_artifact(Path(name)):
        if weights or classes:
            raise UsageError(
                f"{name} is an artifact and brings its own weights and classes",
                "leave out --weights and --classes.",
            )
        return open_artifact(Path(name), shape, levers or {}, trust)
    if Path(name).is_dir():
        raise UsageError(
            f"{name} is a folder but no artifact: it has no manifest.json", "give the folder of -o."
        )
    arch = find(name)
    torch.manual_seed(seed)
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    options |= _pulled(arch, levers or {})
    return Artifact.dense(arch, weights, options, parse_shapes(shape) if shape else None)


def _pulled(arch: Architecture, levers: Levers) -> dict[str, int]:
    """Return constructor arguments for the levers that were given."""
    given = {name: value for name, value in levers.items() if value is not None}
    for name in given:
        if name not in arch.levers:
            raise UsageError(f"{arch.name} is no detector and has no {name}", f"leave out --{name}.")
    return {arch.levers[name]: value for name, value in given.items()}


def open_artifact(path: Path, shape: str | None, levers: Levers, trust: Trust = NOBODY) -> Artifact:
    """Load an artifact and say whose code that imports.

    Raises:
        UsageError: the artifact is none of a detector, whose input is fixed.
        ArtifactError: it is damaged.
    """
    announce(path, trust)
    return opened(path, shape, levers, trust)


def announce(path: Path, trust: Trust) -> None:
    """Say what code an artifact is built by, before anything imports it.

    Raises:
        ArtifactError: it is damaged, or that code is not trusted.
    """
    manifest = read_manifest(path, trust)
    if ":" in manifest.arch:
        output.say(f"{path} is built by {foreign(manifest.arch)}, which is imported")


def opened(path: Path, shape: str | None, levers: Levers, trust: Trust) -> Artifact:
    """Load an artifact; a detector may be given another input size and other numbers of boxes.

    Raises:
        UsageError: the artifact is none of a detector, whose input is fixed.
        ArtifactError: it is damaged.
    """
    arch = architecture_of(read_manifest(path, trust))
    if shape and not arch.levers:
        raise UsageError(f"{path} is an artifact and brings its own input", "leave out --input.")
    return Artifact.load(path, _pulled(arch, levers), parse_shapes(shape) if shape else None, trust=trust)


def parse_shapes(text: str) -> tuple[tuple[int, ...], ...]:
    """Return the shapes in ``3x224x224`` or ``3x224x224,8``.

    Raises:
        UsageError: the text is no shape.
    """
    try:
        shapes = tuple(tuple(int(n) for n in part.split("x")) for part in text.split(","))
    except ValueError:
        shapes = ((0,),)
    if any(n < 1 for shape in shapes for n in shape):
        raise UsageError(f"{text!r} is no input shape", "write channels x height x width: 3x224x224.")
    return shapes


def open_device(name: str) -> torch.device:
    """Return a device that is really there.

    Raises:
        UsageError: the name means nothing.
        BackendMissingError: CUDA was asked for and is not usable.
    """
    check_device(name)
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        words = name.replace("cuda", "CUDA")
        raise BackendMissingError(f"{words} is not usable here", "use --device cpu, or see: compress doctor.")
    return torch.device(name)


def output_path(path: Path | None) -> Path:
    """Return the path of ``-o``, which must be given and free.

    Raises:
        UsageError: it was left out, or exists.
    """
    if path is None:
        raise UsageError("nowhere to write", "give -o FOLDER, or --dry-run to see the plan only.")
    if exists(path):
        raise UsageError(f"{path} exists", "choose another -o, or remove it first.")
    return path
