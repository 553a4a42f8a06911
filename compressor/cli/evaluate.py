"""``compress eval``: accuracy of a model, an artifact or an ONNX file."""

from typing import Annotated, Literal

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import (
    ClassesOpt,
    DataOpt,
    DeviceOpt,
    InputOpt,
    JsonOpt,
    ThreadsOpt,
    TrustOpt,
    WeightsOpt,
)


def evaluate(
    model: Annotated[
        str, typer.Argument(help="Name, factory, artifact folder, or .onnx file.", show_default=False)
    ],
    data: DataOpt = None,
    weights: WeightsOpt = None,
    split: Annotated[
        Literal["test", "val", "holdout"],
        typer.Option("--split", help="Images to score; holdout is what this program holds out of train."),
    ] = "test",
    backend: Annotated[str | None, typer.Option("--backend", help="Runtime, by the file: {backend}.")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Images per call; 128, of a detector 4.")
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            "--min-top1", "--min-ap", help="Exit with 4 below this top-1, or AP of a detector, percent."
        ),
    ] = None,
    classes: ClassesOpt = None,
    shape: InputOpt = None,
    device: DeviceOpt = "cpu",
    threads: ThreadsOpt = None,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Score a classifier (top-1 and top-5, percent) or a detector (COCO's average precision, percent).

    Examples: compress eval resnet56_cifar --weights resnet56.th --data cifar10:data;
    compress eval half.onnx --data digits; compress eval detector.onnx --data coco:coco
    """
    if data is None:
        raise UsageError("there is nothing to score", "give --data, for instance --data digits.")
    from compressor.base.documents import encode
    from compressor.base.errors import ParityError
    from compressor.cli import output
    from compressor.cli.evaluate_run import Request, accuracy

    request = Request(
        model=model, weights=weights, classes=classes, shape=shape, data=data, split=split, backend=backend,
        batch=batch, device=device, threads=threads, trust_code=trust_code,
    )  # fmt: skip
    score, splits = accuracy(request)
    if json:
        output.print_json(
            {
                "model": model,
                "data": splits.name,
                "split": split,
                "synthetic": splits.synthetic,
                "caution": splits.caution(split),
                **encode(score),
            }
        )
    else:
        words = " (synthetic data: accuracy means nothing)" if splits.synthetic else ""
        output.show(f"{model} on {splits.name}, {split}: {score.describe()}{words}")
        if splits.caution(split):
            output.show(f"note: {splits.caution(split)}")
    if limit is not None and score.quality < limit:
        raise ParityError(
            f"{score.describe()}: {score.quality:.2f} % is below the limit of {limit} %",
            "fine-tune longer or prune less.",
        )
