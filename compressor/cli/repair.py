"""``compress repair``: least squares against the dense model, without labels or gradients."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import ArtifactArg, DataOpt, JsonOpt, OutputOpt, SeedOpt, TrustOpt


def repair(
    artifact: ArtifactArg,
    output: OutputOpt = None,
    data: DataOpt = None,
    dense: Annotated[
        str | None,
        typer.Option("--dense", help="Model before the cut: an artifact or a name.", show_default=False),
    ] = None,
    dense_weights: Annotated[Path | None, typer.Option("--dense-weights", help="Its checkpoint.")] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="Most images that are looked at.")] = 512,
    strength: Annotated[
        float | None,
        typer.Option("--strength", help="Ridge towards the present weights, 0.01; chosen per layer without."),
    ] = None,
    norms: Annotated[
        Literal["fitted", "estimated"],
        typer.Option("--norms", help="Running statistics: part of the fit, or estimated again after it."),
    ] = "fitted",
    seed: SeedOpt = 0,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Fit the weights of ARTIFACT to what the model before the cut computes; no labels, no gradients.

    Examples: compress repair half --dense resnet56_cifar --dense-weights r56.th --data cifar10:data -o fit;
    compress repair half --dense dense --data digits --images 256 --json -o fit
    """
    if data is None:
        raise UsageError("repair needs images, without labels", "give --data, for instance --data digits.")
    if dense is None:
        raise UsageError(
            "repair needs the model before the cut, which the artifact does not hold",
            "give --dense MODEL, and --dense-weights FILE where it is a name.",
        )
    from compressor.chain.settings import RepairTable
    from compressor.cli.repair_run import Request, run
    from compressor.cli.sources import open_model, output_path, trust_in

    trust = trust_in([dense], everything=trust_code)
    small = open_model(str(artifact), None, None, None, trust=trust)
    request = Request(
        dense=open_model(dense, dense_weights, None, None, trust=trust),
        small=small,
        output=output_path(output),
        data=data,
        table=RepairTable(images=images, strength=strength, norms=norms),
        seed=seed,
        json=json,
    )
    run(request)
