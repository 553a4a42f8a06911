"""``compress finetune``: train an artifact further; resumable, and data-parallel under torchrun."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import (
    ArtifactArg,
    DataOpt,
    DeviceOpt,
    EpochsOpt,
    JsonOpt,
    OutputOpt,
    RecipeOpt,
    SetOpt,
    TrustOpt,
)


def finetune(
    artifact: ArtifactArg,
    output: OutputOpt = None,
    data: DataOpt = None,
    epochs: EpochsOpt = None,
    recipe: RecipeOpt = None,
    settings: SetOpt = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Unpruned model to distil from: an artifact or a name.")
    ] = None,
    teacher_weights: Annotated[Path | None, typer.Option("--teacher-weights", help="Its checkpoint.")] = None,
    device: DeviceOpt = "cpu",
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Fine-tune ARTIFACT and write a new one; run it again to resume after an interruption.

    Examples: compress finetune half -o tuned --data cifar10:data --epochs 30 --set lr=0.02;
    torchrun --nproc-per-node 4 -m compressor finetune half -o tuned --data cifar10:data --device cuda
    """
    if data is None:
        raise UsageError("fine-tuning needs images", "give --data, for instance --data digits.")
    from compressor.base.devices import open_device
    from compressor.cli.finetune_run import Request, run
    from compressor.cli.sources import open_model, output_path, trust_in
    from compressor.cli.training import resolve_recipe

    trust = trust_in([teacher] if teacher else [], everything=trust_code)
    source = open_model(str(artifact), None, None, None, trust=trust)
    default = source.manifest.recipe
    request = Request(
        source=source,
        output=output_path(output),
        data=data,
        recipe=resolve_recipe(recipe, epochs, settings or [], default),
        teacher=open_model(teacher, teacher_weights, None, None, trust=trust) if teacher else None,
        device=open_device(device),
        json=json,
    )
    run(request)
