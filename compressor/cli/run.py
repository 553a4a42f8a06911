"""``compress run``: the whole chain from a recipe file, resumable."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.cli.options import DataOpt, DeviceOpt, EpochsOpt, JsonOpt, WeightsOpt


def run(
    recipe: Annotated[Path, typer.Argument(help="TOML file; recipes/ has examples.", show_default=False)],
    data: DataOpt = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Run folder; runs/NAME of the recipe.", show_default=False),
    ] = None,
    weights: WeightsOpt = None,
    epochs: EpochsOpt = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting, lr=0.05 (training) or prune.macs=0.5; repeatable."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of everything random.", show_default=False),
    ] = None,
    device: DeviceOpt = "cpu",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan and check the pruning, write nothing.")
    ] = False,
    json: JsonOpt = False,
) -> None:
    """Run RECIPE: prune, fine-tune, score and export, in a folder; run it again to resume.

    Finished stages are skipped, and an interrupted fine-tuning continues from its last epoch. A folder
    belongs to one set of settings; other settings need another -o.

    Examples: compress run recipes/coring/resnet56-v5.toml --weights resnet_56.pt --data cifar10:data;
    compress run recipes/coring/resnet50-v.toml --dry-run
    """
    from compressor.base.devices import open_device
    from compressor.chain.files import pipeline_from_tables, read_tables, with_changes
    from compressor.cli import run_run
    from compressor.cli.training import parse_setting

    given: dict[str, object] = {
        "data.spec": data,
        "model.weights": str(weights) if weights else None,
        "training.epochs": epochs,
        "training.seed": seed,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    changes |= dict(parse_setting(setting, "--set") for setting in settings or ())
    pipeline = pipeline_from_tables(with_changes(read_tables(recipe), changes), where=str(recipe))
    if dry_run:
        run_run.plan(pipeline, recipe, json=json)
        return
    folder = output or Path("runs") / recipe.stem
    run_run.run(pipeline, recipe, folder, open_device(device), json=json)
