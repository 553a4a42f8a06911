"""``compress eval``: accuracy of a model, an artifact or an ONNX file."""

from typing import Annotated, Literal

import typer

from compressor.cli.options import (
    ClassesOpt,
    DataOpt,
    DeviceOpt,
    InputOpt,
    JsonOpt,
    ThreadsOpt,
    WeightsOpt,
)
from compressor.errors import UsageError


def evaluate(
    model: Annotated[
        str, typer.Argument(help="Name, factory, artifact folder, or .onnx file.", show_default=False)
    ],
    data: DataOpt = None,
    weights: WeightsOpt = None,
    split: Annotated[Literal["test", "val"], typer.Option("--split", help="Images to score.")] = "test",
    backend: Annotated[
        str | None, typer.Option("--backend", help="torch or onnxruntime; by the file.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per call.")] = 128,
    limit: Annotated[
        float | None, typer.Option("--min-top1", help="Exit with 4 below this top-1, percent.")
    ] = None,
    classes: ClassesOpt = None,
    shape: InputOpt = None,
    device: DeviceOpt = "cpu",
    threads: ThreadsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Score a classifier: top-1 and top-5 in percent.

    Examples: compress eval resnet56_cifar --weights resnet56.th --data cifar10:data;
    compress eval half.onnx --data digits
    """
    if data is None:
        raise UsageError("there is nothing to score", "give --data, for instance --data digits.")
    from compressor.cli import output
    from compressor.cli.evaluate_run import Request, accuracy
    from compressor.codec import encode
    from compressor.errors import ParityError

    request = Request(
        model=model, weights=weights, classes=classes, shape=shape, data=data, split=split, backend=backend,
        batch=batch, device=device, threads=threads,
    )  # fmt: skip
    score, splits = accuracy(request)
    if json:
        output.print_json(
            {
                "model": model,
                "data": splits.name,
                "split": split,
                "synthetic": splits.synthetic,
                **encode(score),
            }
        )
    else:
        words = " (synthetic data: accuracy means nothing)" if splits.synthetic else ""
        output.show(
            f"{model} on {splits.name}, {split}: top-1 {score.top1:.2f} %, top-5 {score.top5:.2f} % "
            f"of {score.images} images{words}"
        )
    if limit is not None and score.top1 < limit:
        raise ParityError(
            f"top-1 {score.top1:.2f} % is below --min-top1 {limit}", "fine-tune longer or prune less."
        )
