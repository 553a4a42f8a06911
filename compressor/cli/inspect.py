"""``compress inspect``: which layers can give channels, measured."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import (
    ClassesOpt,
    DataOpt,
    DeviceOpt,
    InputOpt,
    JsonOpt,
    ModelArg,
    SeedOpt,
    TrustOpt,
    WeightsOpt,
)


def inspect(
    model: ModelArg,
    data: DataOpt = None,
    weights: WeightsOpt = None,
    method: Annotated[str, typer.Option("--method", help="What chooses the channels: {criterion}.")] = "l1",
    options: Annotated[
        list[str] | None,
        typer.Option("--option", help="Option of the method, metric=cosine or rank=2; repeatable."),
    ] = None,
    rates: Annotated[
        str, typer.Option("--rates-list", help="Shares of a group to remove, separated by commas.")
    ] = "0.1,0.3,0.5,0.7,0.9",
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="Groups or modules to study, a glob; repeatable.")
    ] = None,
    split: Annotated[
        Literal["val", "test", "holdout"],
        typer.Option("--split", help="Images to score; holdout is what this program holds out of train."),
    ] = "val",
    limit: Annotated[
        int | None, typer.Option("--limit-images", min=1, help="Score at most so many images.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Plot to write, .svg or .png.", show_default=False)
    ] = None,
    classes: ClassesOpt = None,
    shape: InputOpt = None,
    device: DeviceOpt = "cpu",
    seed: SeedOpt = 0,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Prune each group of MODEL alone, at several rates, and score it without fine-tuning.

    With -o, what is measured is kept beside the plot, in a .jsonl file: run the command again to go on after
    an interruption.

    Examples: compress inspect resnet56_cifar --weights resnet56.th --data cifar10:data -o sensitivity.svg;
    compress inspect half --data digits --group "layer3.*" --rates-list 0.25,0.5,0.75
    """
    if data is None:
        raise UsageError("there is nothing to score on", "give --data, for instance --data digits.")
    shares = _shares(rates)
    from compressor.base.devices import open_device
    from compressor.cli.inspect_run import Request, run
    from compressor.cli.sources import open_model, trust_in

    if output is not None:
        _check(output)
    source = open_model(
        model, weights, classes, shape, trust=trust_in([model], everything=trust_code), seed=seed
    )
    request = Request(
        source=source, data=data, method=method, options=tuple(options or ()), rates=shares,
        groups=tuple(groups or ()), split=split, limit=limit, output=output, device=open_device(device),
        seed=seed, json=json,
    )  # fmt: skip
    run(request)


def _check(path: Path) -> None:
    from compressor.cli.sources import output_path
    from compressor.inspection.plot import check_format

    check_format(output_path(path))


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--rates-list {text!r}", "write numbers separated by commas, 0.1,0.5,0.9."
        ) from None
