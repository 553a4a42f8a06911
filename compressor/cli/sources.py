"""From what the user typed to an artifact in memory."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from compressor.artifact import Artifact, Manifest, is_artifact, opening, read_manifest
from compressor.artifact.opening import Levers, Wanted
from compressor.base.errors import UsageError
from compressor.base.files import exists, require_free
from compressor.base.text import foreign
from compressor.cli import output
from compressor.zoo import NOBODY, Trust


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
    """Open what was typed as a model, and say whose code an artifact imports.

    Raises:
        UsageError: there is no such model, or the options do not fit it.
        ArtifactError: the artifact is damaged, or built by code that is not trusted.
    """
    if is_artifact(Path(name)):
        announce(Path(name), trust)
    return opening.open_model(name, wanted(weights, classes, shape, levers, trust, seed))


def wanted(
    weights: Path | None = None,
    classes: int | None = None,
    shape: str | None = None,
    levers: Levers | None = None,
    trust: Trust = NOBODY,
    seed: int = 0,
) -> Wanted:
    """Return how a model is to be opened, from options as typed.

    Raises:
        UsageError: the shape is none.
    """
    shapes = parse_shapes(shape) if shape else None
    return Wanted(
        weights=weights, classes=classes, shapes=shapes, levers=levers or {}, trust=trust, seed=seed
    )


def announce(path: Path, trust: Trust) -> Manifest:
    """Say what code an artifact is built by, before anything imports it, and return its papers.

    Raises:
        ArtifactError: it is damaged, or that code is not trusted.
    """
    manifest = read_manifest(path, trust)
    if ":" in manifest.arch:
        output.say(f"{path} is built by {foreign(manifest.arch)}, which is imported")
    return manifest


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


def output_path(path: Path | None) -> Path:
    """Return the path of ``-o``, which must be given and free.

    Raises:
        UsageError: it was left out, or exists.
    """
    if path is None:
        raise UsageError("nowhere to write", "give -o FOLDER, or --dry-run to see the plan only.")
    require_free(path)
    return path
