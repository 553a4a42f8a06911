"""Options that several commands share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.base.errors import UsageError

ModelArg = Annotated[
    str, typer.Argument(help="Name, package.module:factory, or an artifact folder.", show_default=False)
]
ArtifactArg = Annotated[
    Path, typer.Argument(help="Artifact folder that `compress prune` wrote.", show_default=False)
]
OutputOpt = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write.", show_default=False)]
WeightsOpt = Annotated[
    Path | None,
    typer.Option("--weights", help="Checkpoint (.pth, .th, .safetensors). Random weights without it."),
]
ClassesOpt = Annotated[
    int | None,
    typer.Option("--classes", min=1, max=1_000_000, help="Number of classes, if not the usual one."),
]
InputOpt = Annotated[
    str | None, typer.Option("--input", help="Input shape, 3x224x224; several inputs separated by commas.")
]
DataOpt = Annotated[str | None, typer.Option("--data", help="Data set: {dataset}; for detectors coco:DIR.")]
DeviceOpt = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
RecipeOpt = Annotated[Path | None, typer.Option("--recipe", help="TOML file of training settings.")]
EpochsOpt = Annotated[int | None, typer.Option("--epochs", help="Epochs of fine-tuning.")]
SetOpt = Annotated[
    list[str] | None, typer.Option("--set", help="Training setting, lr=0.05 or ema=0.999; repeatable.")
]
SeedOpt = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of everything random.")]
ProposalsOpt = Annotated[
    int | None,
    typer.Option(
        "--proposals", min=1, max=1_000_000, help="Boxes that a detector's box head sees, per image."
    ),
]
DetectionsOpt = Annotated[
    int | None,
    typer.Option(
        "--detections",
        min=1,
        max=1_000_000,
        help="Boxes that a detector returns; its other heads run on all.",
    ),
]
RepairOpt = Annotated[
    bool,
    typer.Option("--repair", help="Fit the weights that are left to what the dense model computes."),
]
TrustOpt = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Import the factory that an artifact names; without it only those named here are imported.",
    ),
]
ThreadsOpt = Annotated[int | None, typer.Option("--threads", help="CPU threads of the runtime.")]


def batches_of(text: str) -> tuple[int, ...]:
    """Return the numbers of ``--batch``.

    Raises:
        UsageError: the text is no list of numbers.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--batch {text!r}", "write numbers separated by commas, 1,8.") from None
