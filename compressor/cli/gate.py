"""``compress gate``: fail a build that made a model slower, less accurate, or larger."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import (
    DataOpt,
    DeviceOpt,
    InputOpt,
    JsonOpt,
    SeedOpt,
    ThreadsOpt,
    TrustOpt,
    batches_of,
)


def gate(
    context: typer.Context,
    candidate: Annotated[
        str, typer.Argument(help="Artifact, exported file, name, or bench's document.", show_default=False)
    ],
    against: Annotated[
        str | None, typer.Option("--against", help="Baseline, measured in the same job.", show_default=False)
    ] = None,
    max_regression: Annotated[
        str, typer.Option("--max-regression", help="How much slower it may be: 5% or 0.05.")
    ] = "5%",
    min_delta: Annotated[
        str, typer.Option("--min-delta", help="Differences below this do not count: 0.05ms.")
    ] = "0.05ms",
    alpha: Annotated[
        float, typer.Option("--alpha", help="Wrong decisions at a change of exactly the limit: 0.05 or 0.01.")
    ] = 0.05,
    on_open: Annotated[
        Literal["pass", "fail"],
        typer.Option("--on-open", help="What CI is told where the rule cannot decide."),
    ] = "fail",
    metric: Annotated[
        str, typer.Option("--metric", help="Percentiles of a call's time, separated by commas: p50,p90,p99.")
    ] = "p50",
    backend: Annotated[str, typer.Option("--backend", help="Runtime: {backend}.")] = "onnxruntime",
    batch: Annotated[str, typer.Option("--batch", help="Images per call, separated by commas.")] = "1",
    threads: ThreadsOpt = None,
    device: DeviceOpt = "cpu",
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=16, help="Fresh processes that measure in turn.")
    ] = 4,
    seconds: Annotated[
        float, typer.Option("--seconds", help="Timed seconds per model that all rounds are planned for.")
    ] = 3.0,
    data: DataOpt = None,
    max_drop: Annotated[
        float, typer.Option("--max-drop", help="With --data: points of accuracy it may lose.")
    ] = 0.5,
    max_size: Annotated[
        str | None, typer.Option("--max-size", help="Largest file, 25MB.", show_default=False)
    ] = None,
    shape: InputOpt = None,
    seed: SeedOpt = 0,
    ignore: Annotated[
        str | None,
        typer.Option(
            "--ignore", help="Two documents: conditions that may differ, cpu,threads.", show_default=False
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write JUnit's XML here.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write a table here.", show_default=False)
    ] = None,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Measure CANDIDATE against a baseline in fresh processes, and exit with 3 where it is too slow.

    A model against itself tells the smallest regression that this machine can detect. Of two documents of
    compress bench, the ratios of each to its own baseline are compared, which is weaker.

    Examples: compress gate new.onnx --against old.onnx --max-regression 5% --threads 2 --junit gate.xml;
    compress gate half --against dense --backend torch --data digits --max-drop 0.5;
    compress gate new.json --against old.json
    """
    if against is None:
        raise UsageError("there is nothing to compare with", "give --against BASELINE; times are not stored.")
    from bench.gate.metrics import metrics_of
    from bench.gate.rule import Limits
    from compressor.cli.gate_output import Outputs

    limits = Limits(
        max_regression=_share(max_regression), min_delta_ms=_number(min_delta, "ms", "--min-delta"),
        alpha=alpha,
    )  # fmt: skip
    outputs = Outputs(junit=junit, markdown=markdown, json=json)
    if _are_documents(candidate, against):
        _check_options(context)
        from compressor.cli import gate_documents

        gate_documents.run(
            gate_documents.Request(
                candidate=candidate, baseline=against, limits=limits, on_open=on_open,
                metrics=metrics_of(metric), ignored=tuple(ignore.split(",")) if ignore else (),
                outputs=outputs,
            )
        )  # fmt: skip
        return
    if ignore:
        raise UsageError("--ignore is for two documents", "leave it out: models are measured in one job.")
    from compressor.cli import gate_run
    from compressor.cli.beside import Beside

    names = (against, candidate)
    gate_run.run(
        gate_run.Request(
            models=Beside(names=names, shape=shape, seed=seed, threads=threads, trust_code=trust_code),
            limits=limits, on_open=on_open, backend=backend, batches=batches_of(batch), device=device,
            processes=processes, budget_s=seconds, data=data, max_drop=max_drop,
            max_bytes=_bytes(max_size), metrics=metrics_of(metric), outputs=outputs,
        )
    )  # fmt: skip


_OF_DOCUMENTS = {
    "candidate", "against", "max_regression", "min_delta", "alpha", "on_open", "metric", "ignore", "junit",
    "markdown", "json",
}  # fmt: skip
"""Parameters that mean something where nothing is measured."""


def _are_documents(candidate: str, against: str) -> bool:
    """Say whether two documents are to be compared.

    Raises:
        UsageError: one is a document, and the other one a model.
    """
    documents = [name for name in (candidate, against) if name.endswith(".json")]
    if len(documents) == 1:
        model = against if documents[0] == candidate else candidate
        raise UsageError(
            f"{documents[0]} holds times of another run, and {model} would be measured now: "
            "they cannot be compared",
            "give two documents, or the model's own file on both sides: it is measured again in this job.",
        )
    return len(documents) == 2


def _check_options(context: typer.Context) -> None:
    """Refuse options of measuring.

    Raises:
        UsageError: one was given.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source and source.name == "COMMANDLINE" and parameter.name not in _OF_DOCUMENTS:
            raise UsageError(
                f"{parameter.opts[0]} does not go with two documents: nothing is measured",
                "leave it out, or give models.",
            )


def _share(text: str) -> float:
    if text.endswith("%"):
        return _number(text, "%", "--max-regression") / 100
    return _number(text, "", "--max-regression")


def _number(text: str, unit: str, option: str) -> float:
    try:
        return float(text.removesuffix(unit))
    except ValueError:
        raise UsageError(f"{option} {text!r} is no number", f"write it as in {option} 5{unit}.") from None


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    scale = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
    unit = next((unit for unit in scale if text.endswith(unit)), "")
    return int(_number(text, unit, "--max-size") * scale.get(unit, 1))
