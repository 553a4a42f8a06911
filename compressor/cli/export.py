"""``compress export``: an artifact as a file that servers run, compared with PyTorch."""

from typing import Annotated, Literal

import typer

from compressor.cli.options import ArtifactArg, JsonOpt, OutputOpt, ThreadsOpt


def export(
    artifact: ArtifactArg,
    output: OutputOpt = None,
    format: Annotated[Literal["onnx"], typer.Option("--format", help="Kind of file.")] = "onnx",  # noqa: A002
    precision: Annotated[Literal["fp32"], typer.Option("--precision", help="Number format.")] = "fp32",
    threads: ThreadsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Export ARTIFACT with a dynamic batch axis and compare the file with PyTorch; exit 4 if they differ.

    Examples: compress export half -o half.onnx; compress export half -o half.onnx --json
    """
    from pathlib import Path

    from compressor.artifact import load_artifact
    from compressor.cli import output as out
    from compressor.cli.sources import output_path
    from export.deploy import deploy

    target = output_path(output)
    model, manifest = load_artifact(Path(artifact))
    file, parity = deploy(model, manifest, target, threads=threads)
    if json:
        out.print_json(
            {
                "file": str(target), "format": format, "precision": precision, "opset": file.opset,
                "nodes": file.nodes, "bytes": file.bytes, "sha256": file.sha256,
                "artifact": manifest.digest(),
                "parity": {"max_relative_difference": parity.max_relative_difference, "limit": parity.limit,
                           "cases": len(parity.cases)},
            }
        )  # fmt: skip
        return
    out.show(
        f"{target}: opset {file.opset}, {file.nodes} nodes, {file.bytes / 1e6:.2f} MB, batch dynamic",
        f"differs from PyTorch by at most {parity.max_relative_difference:.1e} (limit {parity.limit:.0e}) "
        f"over {len(parity.cases)} comparisons",
    )
