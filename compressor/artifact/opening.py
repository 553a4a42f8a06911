"""From a name or a folder to an artifact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from compressor.artifact.manifest import architecture_of
from compressor.artifact.store import is_artifact, read_manifest
from compressor.artifact.value import Artifact, Shapes
from compressor.base.errors import UsageError
from compressor.zoo import NOBODY, Architecture, Trust, find

Levers = Mapping[str, int | None]
"""``proposals`` and ``detections`` of a detector, None where the model's own number holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a model is to be opened; what is not given is the model's own.

    Attributes:
        weights: checkpoint of a dense model.
        classes: of a dense model.
        shapes: of the input.
        levers: numbers of boxes of a detector.
        trust: whose factories an artifact may bring in.
        seed: of random weights, so that they are the same whenever a command is run again.
    """

    weights: Path | None = None
    classes: int | None = None
    shapes: Shapes | None = None
    levers: Levers = field(default_factory=dict)
    trust: Trust = NOBODY
    seed: int = 0


def open_model(name: str, wanted: Wanted) -> Artifact:
    """Open an artifact folder, or build a model by name and load a checkpoint into it.

    Raises:
        UsageError: there is no such model, or it cannot be had as wanted.
        ArtifactError: the artifact is damaged, or built by code that is not trusted.
    """
    path = Path(name)
    if is_artifact(path):
        return _artifact(path, wanted)
    if path.is_dir():
        raise UsageError(
            f"{name} is a folder but no artifact: it has no manifest.json", "give the folder of -o."
        )
    arch = find(name)
    torch.manual_seed(wanted.seed)
    options: dict[str, Any] = {} if wanted.classes is None else {"num_classes": wanted.classes}
    return Artifact.dense(arch, wanted.weights, options | _pulled(arch, wanted.levers), wanted.shapes)


def _artifact(path: Path, wanted: Wanted) -> Artifact:
    """Load an artifact; a detector may be given another input size and other numbers of boxes."""
    if wanted.weights or wanted.classes:
        raise UsageError(
            f"{path} is an artifact and brings its own weights and classes",
            "leave out --weights and --classes.",
        )
    arch = architecture_of(read_manifest(path, wanted.trust))
    if wanted.shapes and not arch.levers:
        raise UsageError(f"{path} is an artifact and brings its own input", "leave out --input.")
    return Artifact.load(path, _pulled(arch, wanted.levers), wanted.shapes, trust=wanted.trust)


def _pulled(arch: Architecture, levers: Levers) -> dict[str, int]:
    """Return constructor arguments for the levers that were given."""
    given = {name: value for name, value in levers.items() if value is not None}
    for name in given:
        if name not in arch.levers:
            raise UsageError(f"{arch.name} is no detector and has no {name}", f"leave out --{name}.")
    return {arch.levers[name]: value for name, value in given.items()}
