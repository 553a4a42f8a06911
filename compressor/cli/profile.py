"""``compress profile``: where the time of a model goes, layer by layer, and what to do about it."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.cli.options import InputOpt, JsonOpt, SeedOpt, ThreadsOpt, TrustOpt


def profile(
    model: Annotated[str, typer.Argument(help="Artifact, .onnx file or name.", show_default=False)],
    other: Annotated[
        str | None, typer.Argument(help="A second one, set side by side with the first.", show_default=False)
    ] = None,
    backend: Annotated[
        str, typer.Option("--backend", help="Runtime that says the time of its nodes: {profiler}.")
    ] = "onnxruntime",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per call.")] = 1,
    threads: ThreadsOpt = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Profiled seconds per model.")] = 3.0,
    rows: Annotated[
        int, typer.Option("--rows", min=2, max=10_000, help="Rows of the tables; the document has all.")
    ] = 20,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            help="Measure the layers of MODEL over widths too, and write the latency table here, for "
            "compress prune --latency.",
            show_default=False,
        ),
    ] = None,
    shape: InputOpt = None,
    seed: SeedOpt = 0,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
    save: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write the JSON document here.", show_default=False),
    ] = None,
) -> None:
    """Time every layer of MODEL on a runtime, by module, and say what keeps it from being faster.

    With OTHER both are set side by side, by milliseconds saved and not saved.

    Examples: compress profile half.onnx --threads 1;
    compress profile dense.onnx half.onnx --json -o profile.json;
    compress profile resnet50 --threads 2 --table resnet50.json
    """
    from compressor.cli.beside import Beside
    from compressor.cli.profile_run import Request, run

    names = (model,) if other is None else (model, other)
    run(
        Request(
            models=Beside(names=names, shape=shape, seed=seed, threads=threads, trust_code=trust_code),
            backend=backend, batch=batch, seconds=seconds, rows=rows, json=json, save=save, table=table,
        )
    )  # fmt: skip
