"""``compress export``: an artifact as a file that servers run, compared with PyTorch."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import (
    ArtifactArg,
    ClassesOpt,
    DetectionsOpt,
    InputOpt,
    JsonOpt,
    OutputOpt,
    ProposalsOpt,
    ThreadsOpt,
    TrustOpt,
    WeightsOpt,
)


def export(
    artifact: ArtifactArg,
    output: OutputOpt = None,
    format: Annotated[  # noqa: A002
        Literal["onnx", "tensorrt", "triton"],
        typer.Option("--format", help="An ONNX file, an engine for this GPU, or a model repository."),
    ] = "onnx",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option("--precision", help="Of the layers; in the graph.")
    ] = "fp32",
    target: Annotated[
        Literal["cpu", "tensorrt"] | None,
        typer.Option("--target", help="Where it will run; decides int8's scheme and --align. By the format."),
    ] = None,
    align: Annotated[
        str,
        typer.Option("--align", help="Pad widths to multiples of N, off, or auto: what the target likes."),
    ] = "auto",
    calib: Annotated[
        str | None, typer.Option("--calib", help="Data set for int8, its train split sets ranges: {dataset}.")
    ] = None,
    calib_images: Annotated[int, typer.Option("--calib-images", min=1, help="How many images.")] = 256,
    calib_method: Annotated[
        Literal["minmax", "entropy", "percentile"],
        typer.Option("--calib-method", help="How a range follows from the values seen."),
    ] = "minmax",
    auto: Annotated[
        float | None,
        typer.Option(
            "--int8-auto", min=0, help="Keep the fewest layers float so that accuracy falls by at most this."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep-float", help="Modules that stay fp32, a glob; repeatable."),
    ] = None,
    graph: Annotated[
        Literal["static", "full"],
        typer.Option("--graph", help="Of a detector: fixed shapes, or torchvision's own, for ONNX Runtime."),
    ] = "static",
    nms: Annotated[
        Literal["iterated", "op"],
        typer.Option("--nms", help="In the static graph: fixed shapes, or ONNX NonMaxSuppression."),
    ] = "iterated",
    batch: Annotated[
        str, typer.Option("--batch", help="Smallest, tuned and largest batch of an engine.")
    ] = "1,8,32",
    weights: WeightsOpt = None,
    classes: ClassesOpt = None,
    shape: InputOpt = None,
    proposals: ProposalsOpt = None,
    detections: DetectionsOpt = None,
    threads: ThreadsOpt = None,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Export ARTIFACT, or a model by name, with a dynamic batch axis; exit 4 if it differs from PyTorch.

    Examples: compress export half -o half.onnx; compress export half -o half16.onnx --precision fp16;
    compress export half -o half8.onnx --precision int8 --calib imagefolder:imagenet --int8-auto 0.5;
    compress export half -o repository --format triton
    """
    if precision == "int8" and calib is None:
        raise UsageError("int8 needs images to measure ranges on", "give --calib DATASET.")
    if graph == "full" and (format != "onnx" or precision != "fp32"):
        raise UsageError("--graph full is for ONNX Runtime in fp32", "export the static graph instead.")
    from compressor.cli.export_run import Request, run
    from compressor.cli.sources import output_path

    path = _repository(output) if format == "triton" else output_path(output)
    runtime = target or ("tensorrt" if format == "tensorrt" else "cpu")
    run(
        Request(
            artifact=Path(artifact), weights=weights, classes=classes, output=path, format=format,
            precision=precision, target=runtime,
            align=_multiple(align), calib=calib, calib_images=calib_images, calib_method=calib_method,
            auto=auto, keep=tuple(keep or ()), batches=_batches(batch), shape=shape,
            levers={"proposals": proposals, "detections": detections}, threads=threads, json=json,
            trust_code=trust_code,
            form=_form(graph, nms),
        )
    )  # fmt: skip


def _repository(path: Path | None) -> Path:
    """Return the folder of a repository, which may hold other models."""
    if path is None:
        raise UsageError("nowhere to write the repository", "give -o FOLDER.")
    return path


def _form(graph: str, nms: str) -> str | None:
    """Return the name of the form of an architecture, None for its usual one."""
    if graph == "full" and nms == "op":
        raise UsageError("--nms op chooses a part of the static graph", "leave out --nms or --graph full.")
    if graph == "full":
        return "full"
    return "nms-op" if nms == "op" else None


def _multiple(text: str) -> int | None:
    words = {"off": 1, "auto": None}
    if text in words:
        return words[text]
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"--align {text}", "give a number of channels, auto or off.")
    return int(text)


def _batches(text: str) -> tuple[int, int, int]:
    numbers = text.split(",")
    if not all(number.isdigit() for number in numbers) or len(numbers) not in (1, 3):
        raise UsageError(f"--batch {text}", "give one number, or smallest, tuned and largest: 1,8,32.")
    smallest, tuned, largest = (int(n) for n in (numbers * 3)[:3])
    return smallest, tuned, largest
