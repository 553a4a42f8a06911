"""``compress detect``: see what a detector finds, and how fast."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import DeviceOpt, InputOpt, JsonOpt, OutputOpt, ThreadsOpt, TrustOpt


def detect(
    model: Annotated[
        str, typer.Argument(help="Detector: artifact folder, .onnx file, or name.", show_default=False)
    ],
    source: Annotated[Path, typer.Argument(help="Image, folder of images, or video.", show_default=False)],
    output: OutputOpt = None,
    beside: Annotated[
        str | None, typer.Option("--beside", help="A second detector, drawn on the right.")
    ] = None,
    min_score: Annotated[
        float,
        typer.Option("--min-score", min=0, max=1, help="Weaker detections are left out."),
    ] = 0.5,
    names: Annotated[
        Path | None,
        typer.Option(
            "--names", help="Text file, one class per line, the background first. COCO's without it."
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", help="Runtime of .onnx files: {backend}.")
    ] = None,
    shape: InputOpt = None,
    device: DeviceOpt = "cpu",
    threads: ThreadsOpt = None,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Draw what MODEL finds in SOURCE, with frames per second; two models side by side.

    The result is of SOURCE's kind: an image, a folder of images under the same names, or a video.

    Examples: compress detect half.onnx street.jpg -o found.png;
    compress detect dense.onnx street.mp4 --beside half.onnx -o both.mp4
    """
    if output is None:
        raise UsageError("nowhere to write", "give -o: found.png, a folder, or found.mp4.")
    from compressor.cli.detect_run import Request, run
    from compressor.cli.sources import output_path

    run(
        Request(
            models=(model, beside) if beside else (model,), source=source, output=output_path(output),
            min_score=min_score, names=names, backend=backend, shape=shape, device=device, threads=threads,
            json=json, trust_code=trust_code,
        )
    )  # fmt: skip
