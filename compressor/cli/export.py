"""``compress export``: an artifact as a file that servers run, compared with PyTorch."""

from typing import Annotated, Literal

import typer

from compressor.cli.options import (
    ArtifactArg,
    DetectionsOpt,
    InputOpt,
    JsonOpt,
    OutputOpt,
    ProposalsOpt,
    ThreadsOpt,
)


def export(
    artifact: ArtifactArg,
    output: OutputOpt = None,
    format: Annotated[Literal["onnx"], typer.Option("--format", help="Kind of file.")] = "onnx",  # noqa: A002
    precision: Annotated[Literal["fp32"], typer.Option("--precision", help="Number format.")] = "fp32",
    shape: InputOpt = None,
    proposals: ProposalsOpt = None,
    detections: DetectionsOpt = None,
    threads: ThreadsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Export ARTIFACT with a dynamic batch axis and compare the file with PyTorch; exit 4 if they differ.

    Examples: compress export half -o half.onnx; compress export half -o half.onnx --json
    """
    from compressor.cli import output as out
    from compressor.cli.sources import open_artifact, output_path
    from export.deploy import deploy

    target = output_path(output)
    levers = {"proposals": proposals, "detections": detections}
    model, manifest = open_artifact(artifact, shape, levers)
    file, parity = deploy(model, manifest, target, threads=threads)
    if json:
        out.print_json(
            {
                "file": str(target), "format": format, "precision": precision, "opset": file.opset,
                "nodes": file.nodes, "bytes": file.bytes, "sha256": file.sha256,
                "artifact": manifest.digest(),
                "parity": {"max_relative_difference": parity.max_relative_difference, "limit": parity.limit,
                           "cases": len(parity.cases), "detections": parity.detections},
            }
        )  # fmt: skip
        return
    out.show(
        f"{target}: opset {file.opset}, {file.nodes} nodes, {file.bytes / 1e6:.2f} MB, batch dynamic",
        parity.describe(),
    )
