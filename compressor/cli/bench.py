"""``compress bench``: interleaved timing of models, the first one as baseline."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.cli.options import (
    DetectionsOpt,
    DeviceOpt,
    InputOpt,
    ProposalsOpt,
    SeedOpt,
    ThreadsOpt,
    TrustOpt,
    batches_of,
)


def bench(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Artifacts, .onnx files or names; the first is the baseline.", show_default=False
        ),
    ],
    backend: Annotated[
        str, typer.Option("--backend", help="Runtimes, separated by commas: {backend}.")
    ] = "onnxruntime",
    batch: Annotated[str, typer.Option("--batch", help="Images per call, separated by commas.")] = "1,8",
    threads: ThreadsOpt = None,
    device: DeviceOpt = "cpu",
    against: Annotated[
        str | None, typer.Option("--against", help="Baseline, if it is not the first model.")
    ] = None,
    budget: Annotated[float, typer.Option("--seconds", help="Timed seconds per model and batch size.")] = 3.0,
    shape: InputOpt = None,
    proposals: ProposalsOpt = None,
    detections: DetectionsOpt = None,
    seed: SeedOpt = 0,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="Measure nothing, project to a device instead: {projection}.",
            show_default=False,
        ),
    ] = None,
    trust_code: TrustOpt = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", "-o", help="Also write the JSON document here.")
    ] = None,
) -> None:
    """Measure MODELS: p50, p90, p99, throughput, and the speed-up with its 95 % interval.

    Examples: compress bench dense half --backend onnxruntime --batch 1,8 --threads 2;
    compress bench dense.onnx half.onnx --batch 1 --json; compress bench resnet50 half --project t4
    """
    names = [against, *models] if against else models
    from compressor.cli.bench_run import Request, run

    request = Request(
        models=tuple(names), backends=tuple(backend.split(",")), batches=batches_of(batch),
        threads=threads, device=device, budget_s=budget, shape=shape, seed=seed, json=json, save=save,
        trust_code=trust_code,
        levers={"proposals": proposals, "detections": detections},
    )  # fmt: skip
    if project is None:
        run(request)
        return
    from compressor.cli.bench_project import run as run_projection

    run_projection(request, project)
