"""``compress bench``: interleaved timing of models, the first one as baseline."""

from pathlib import Path
from typing import Annotated

import typer

from compressor.cli.options import (
    DataOpt,
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
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            help="Images per call, separated by commas: 1,8 where not given; a server's queries have 1, and a"
            " sweep for throughput doubles from 1.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[str, typer.Option("--mode", help="What is measured: {mode}.")] = "latency",
    rate_per_s: Annotated[
        float | None,
        typer.Option("--rate-per-s", help="Server: queries a second, on average.", show_default=False),
    ] = None,
    p99_ms: Annotated[
        float | None,
        typer.Option(
            "--p99-ms",
            help="Server: find the highest rate whose p99, waiting included, stays below.",
            show_default=False,
        ),
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(
            "--queries", help="Server: of a rate; 1000 where not given, 662 at least.", show_default=False
        ),
    ] = None,
    data: DataOpt = None,
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
    why: Annotated[
        bool, typer.Option("--why", help="Profile where the speed-up is far under what the MACs promise.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", "-o", help="Also write the JSON document here.")
    ] = None,
) -> None:
    """Measure MODELS: p50, p90, p99, throughput, and the speed-up with its 95 % interval.

    --mode throughput doubles the batch until that gains nothing, --mode server lets queries come at random.
    Inputs are noise, or with --data test images: what a detector finds decides its time in --graph full.
    Ctrl-C ends with what was measured until then, says so, and exits with 130.

    Examples: compress bench dense half --backend onnxruntime --batch 1,8 --threads 2;
    compress bench dense.onnx half.onnx --batch 1 --json;
    compress bench dense.onnx half.onnx --mode throughput;
    compress bench half.onnx --mode server --rate-per-s 50 --p99-ms 40;
    compress bench full.onnx --batch 1 --data coco:coco;
    compress bench resnet50 half --project t4
    """
    names = [against, *models] if against else models
    batches = batches_of(batch) if batch else None
    from compressor.cli.bench_run import Request, run
    from compressor.cli.beside import Beside

    beside = Beside(
        names=tuple(names), shape=shape, seed=seed, threads=threads, trust_code=trust_code,
        levers={"proposals": proposals, "detections": detections},
    )  # fmt: skip
    request = Request(
        models=beside, backends=tuple(backend.split(",")), batches=batches, device=device, budget_s=budget,
        json=json, save=save, why=why, mode=mode, data=data, rate_per_s=rate_per_s, p99_ms=p99_ms,
        queries=queries,
    )  # fmt: skip
    if project is None:
        run(request)
        return
    from compressor.cli.bench_project import run as run_projection

    run_projection(request, project)
