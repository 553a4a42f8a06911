"""What ``compress prune`` prints: what was cut, what that costs, how well it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from rich.table import Table

from bench.layers.aim import Reached
from compressor.artifact import Artifact
from compressor.base.documents import Json, encode
from compressor.chain.job import Job, beside
from compressor.chain.memory import Memory, go_through
from compressor.chain.settings import PruneTable, RepairTable
from compressor.chain.stages import cut_of, stages_of_prune
from compressor.chain.work.train import Train
from compressor.channels import trace
from compressor.channels.cost import Cost
from compressor.cli import output
from compressor.steps.plan import PrunePlan
from compressor.steps.shrink import OracleReport
from compressor.tasks.recipe import Recipe

_ALIGNED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress prune``, resolved."""

    source: Artifact
    table: PruneTable
    data: str | None
    recipe: Recipe | None
    repair: RepairTable | None
    output: Path | None
    device: torch.device
    seed: int
    explain: bool
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What came of a request.

    Attributes:
        plan: of this cut alone.
        artifact: written where the request asks for it.
        caution: on the validation split, where it chose an epoch.
        reached: how near it came to a latency, where one was asked for.
    """

    plan: PrunePlan
    artifact: Artifact
    caution: str = ""
    reached: Reached | None = None

    @property
    def oracle(self) -> OracleReport:
        """The proof of the plan."""
        assert self.artifact.manifest.oracle is not None
        return self.artifact.manifest.oracle


def run(request: Request) -> None:
    """Carry out a request and print its result.

    Raises:
        typer.Exit: with 4, a latency was asked for and not met; the nearest model is written.
    """
    if request.explain:
        output.say(trace(request.source.view, request.source.example()).explain())
    result = _carried_out(request)
    if request.json:
        output.print_json(_document(request, result))
    else:
        _print(request, result)
    if result.reached and result.reached.measured and not result.reached.met:
        output.say(
            "The latency was not met; this is the nearest. Measure on a quiet machine, or ask for another."
        )
        raise typer.Exit(4)


def _carried_out(request: Request) -> _Result:
    source = request.source
    reached: list[Reached] = []
    job = Job(
        open=lambda: source,
        store=Memory(beside(request.output) if request.output else None),
        spec=request.data,
        device=request.device,
        say=output.say,
        reached=reached.append,
    )
    if request.data and job.data.summary:
        output.say(f"{job.data.name}: {job.data.summary}")
    stages = stages_of_prune(request.table, request.seed, request.recipe, request.data, request.repair)
    if request.output is None:
        made = cut_of(request.table, request.seed).rehearse(job, source)
    else:
        made = go_through(job, stages).save(request.output)
    chose = request.output and any(isinstance(stage.work, Train) for stage in stages)
    return _Result(
        plan=made.manifest.plan.after(source.manifest.plan),
        artifact=made,
        caution=job.data.val_caution if chose else "",
        reached=reached[0] if reached else None,
    )


def _document(request: Request, result: _Result) -> Json:
    source, made = request.source.manifest, result.artifact.manifest
    document = {
        "model": source.arch,
        "weights": source.weights_from,
        "method": request.table.method,
        "dry_run": request.output is None,
        "plan": {
            "digest": result.plan.digest(),
            "groups": [encode(group) for group in result.plan.decisions],
            "notes": list(result.plan.notes),
        },
        "cost_dense": encode(source.cost_before),
        "cost_before": encode(source.cost_after),
        "cost_after": encode(made.cost_after),
        "oracle": encode(result.oracle),
    }
    if request.output:
        scores = {str(moment): encode(score) for moment, score in made.scores.items()}
        document |= {"artifact": str(request.output), "digest": made.digest(), "metrics": scores}
    if made.repair:
        document["repair"] = encode(made.repair)
    if result.reached:
        document["latency"] = {
            **encode(result.reached), "met": result.reached.met, "words": result.reached.describe()
        }  # fmt: skip
    if request.output and request.data and request.recipe:
        document["caution"] = result.caution
    return document


def _print(request: Request, result: _Result) -> None:
    source, made = request.source.manifest, result.artifact.manifest
    groups = [(g.name, g.size, g.requested, g.kept, g.reason) for g in result.plan.decisions]
    output.show(
        output.table(("group", "size", "requested", "kept", "why"), groups),
        _cost_table(source.cost_before, source.cost_after, made.cost_after),
    )
    output.show(f"weights: {source.weights_from}; {_proof(result.oracle)}")
    for note in (*result.plan.notes, *_alignment(result.plan)):
        output.show(f"note: {note}")
    if made.repair:
        output.show(f"repair: {made.repair.describe()}")
    for moment, score in made.scores.items():
        output.show(f"{moment}: {score.describe()}")
    if result.caution:
        output.show(f"note on val: {result.caution}")
    if result.reached:
        output.show(result.reached.describe())
    if request.output:
        measured = "" if result.reached else " MACs are not speed: compress bench measures it."
        output.show(f"written: {request.output}.{measured}")


def _cost_table(dense: Cost, before: Cost, after: Cost) -> Table:
    """Return sizes and shares; of a model that was pruned before, against its dense form too."""
    again = dense != before
    moments = (dense, before, after) if again else (before, after)
    columns = ("", *(("dense",) if again else ()), "before", "after", "share")
    rows = [
        _cost_row("parameters", [cost.params for cost in moments]),
        _cost_row("MACs (conv + linear)", [cost.macs for cost in moments]),
        _cost_row("MACs (thop)", [cost.thop_macs for cost in moments]),
    ]
    return output.table((*columns, "share of dense") if again else columns, rows)


def _cost_row(words: str, values: Sequence[int | None]) -> tuple[str, ...]:
    """Return a row of one cost at several moments, and the last one's share of those before it."""
    last = values[-1]
    shown = ["-" if value is None else f"{value:,}" for value in values]
    shares = ["" if not value or last is None else f"{last / value:.3f}" for value in values[:-1]]
    return (words, *shown, *reversed(shares))


def _alignment(plan: PrunePlan) -> tuple[str, ...]:
    """Warn of widths that fast kernels do not like: fewer MACs then bring less speed than they promise."""
    cut = [group for group in plan.decisions if group.kept < group.size]
    odd = sum(group.kept % _ALIGNED > 0 for group in cut)
    if not odd:
        return ()
    return (
        f"{odd} of {len(cut)} pruned widths are no multiples of {_ALIGNED}; with --round-to {_ALIGNED} or 16 "
        "more of the MACs saved usually arrives as speed",
    )


def _proof(oracle: OracleReport) -> str:
    if oracle.refused:
        return f"the oracle does not apply: {oracle.refused}"
    return (
        f"shrunk and masked model differ by {oracle.max_relative_difference:.1e} (limit {oracle.limit:.0e})"
    )
