"""What ``compress prune`` does, in order: plan, shrink, count, score, fine-tune, save, report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import nn

from compressor.artifact import Manifest, save_artifact
from compressor.base.documents import Json, encode
from compressor.cli import output
from compressor.cli.criterion import calibration, chosen_criterion
from compressor.cli.sources import Source
from compressor.cost import measure
from compressor.data import DataSplits
from compressor.plan import PrunePlan, joined
from compressor.prune import Planned, make_plan
from compressor.scores import Score
from compressor.shrink import shrink
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import TASKS
from compressor.training import fine_tune
from compressor.types import Cost, RateSpec

_ALIGNED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress prune``, resolved."""

    source: Source
    spec: RateSpec
    method: str
    options: tuple[str, ...]
    data: str | None
    recipe: Recipe | None
    output: Path | None
    device: torch.device
    seed: int
    explain: bool
    json: bool


def run(request: Request) -> None:
    """Carry out a request and print its result."""
    source = request.source
    criterion = chosen_criterion(request.method, request.options, request.seed)
    task = TASKS.get(source.arch.task).data
    data = task.open(request.data, source.arch.input, source.model) if request.data else None
    if data and data.summary:
        output.say(f"{data.name}: {data.summary}")
    planned = make_plan(source.model, source.arch, request.spec, criterion, calibration(data, criterion))
    if request.explain:
        output.say(planned.graph.explain())
    small = shrink(source.model, planned.plan)
    costs = _costs(source, small)
    document = _document(request, planned, costs)
    if request.output is None:
        _print(request, document, planned, costs, {})
        return
    metrics, small = _train(request, source.model, small, data)
    manifest = _manifest(request, planned, costs, metrics)
    saved = save_artifact(small, manifest, request.output)
    document |= {"artifact": str(request.output), "digest": saved.digest(), "metrics": _metrics(metrics)}
    if data and request.recipe:
        document["caution"] = data.val_caution
    _print(request, document, planned, costs, metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Costs:
    """What the model cost at three moments.

    Attributes:
        dense: before anything was ever removed from it.
        before: as it was given, which is something else where it was pruned already.
        after: now.
    """

    dense: Cost
    before: Cost
    after: Cost


def _costs(source: Source, small: nn.Module) -> _Costs:
    inputs, view = source.arch.example(), source.arch.view
    before = source.manifest.cost_after if source.manifest else measure(view(source.model), inputs)
    dense = source.manifest.cost_before if source.manifest else before
    return _Costs(dense=dense, before=before, after=measure(view(small), inputs))


def _train(
    request: Request, dense: nn.Module, small: nn.Module, data: DataSplits | None
) -> tuple[dict[str, Score], nn.Module]:
    """Score before and after, fine-tuning between where asked; the test split decides nothing."""
    if data is None or request.output is None:
        return {}, small
    device, score = request.device, TASKS.get(data.task).scoring.score
    metrics = {
        "test dense": score(dense, data.test, device=device),
        "test pruned": score(small, data.test, device=device),
    }
    if request.recipe:
        run_dir = request.output.with_name(f"{request.output.name}.run")
        output.say(f"fine-tuning {request.recipe.epochs} epochs; checkpoints in {run_dir}")
        teacher = dense if request.recipe.distill else None
        fine_tune(small, data, request.recipe, run_dir=run_dir, teacher=teacher, device=device, resume=True)
        metrics["val fine-tuned"] = score(small, data.val, device=device)
        metrics["test fine-tuned"] = score(small, data.test, device=device)
    return metrics, small


def _manifest(request: Request, planned: Planned, costs: _Costs, metrics: dict[str, Score]) -> Manifest:
    source = request.source
    return Manifest(
        arch=source.arch.name,
        arch_kwargs=dict(source.arch.kwargs),
        input=source.arch.input,
        plan=joined(source.plan, planned.plan),
        method=", ".join([request.method, *request.options, _asked(request.spec)]),
        cost_before=costs.dense,
        cost_after=costs.after,
        weights_from=source.weights,
        data=request.data or "",
        metrics=metrics,
        recipe=request.recipe,
        oracle=planned.oracle,
    )


def _asked(spec: RateSpec) -> str:
    asked = spec.rates if spec.target == "rates" else f"{spec.target} {spec.fraction} {spec.scope}"
    return asked + (f", widths in multiples of {spec.round_to}" if spec.round_to > 1 else "")


def _document(request: Request, planned: Planned, costs: _Costs) -> Json:
    return {
        "model": request.source.arch.name,
        "weights": request.source.weights,
        "method": request.method,
        "dry_run": request.output is None,
        "plan": {
            "digest": planned.plan.digest(),
            "groups": [encode(group) for group in planned.plan.decisions],
            "notes": list(planned.plan.notes),
        },
        "cost_dense": encode(costs.dense),
        "cost_before": encode(costs.before),
        "cost_after": encode(costs.after),
        "oracle": encode(planned.oracle),
    }


def _metrics(metrics: dict[str, Score]) -> dict[str, Any]:
    return {name: encode(score) for name, score in metrics.items()}


def _print(
    request: Request,
    document: Json,
    planned: Planned,
    costs: _Costs,
    metrics: dict[str, Score],
) -> None:
    if request.json:
        output.print_json(document)
        return
    groups = [(g.name, g.size, g.requested, g.kept, g.reason) for g in planned.plan.decisions]
    output.show(
        output.table(("group", "size", "requested", "kept", "why"), groups),
        _cost_table(costs),
    )
    output.show(f"weights: {request.source.weights}; {_proof(planned)}")
    for note in (*planned.plan.notes, *_alignment(planned.plan)):
        output.show(f"note: {note}")
    for name, score in metrics.items():
        output.show(f"{name}: {score.describe()}")
    if document.get("caution"):
        output.show(f"note on val: {document['caution']}")
    if request.output:
        output.show(f"written: {request.output}. MACs are not speed: compress bench measures it.")


def _cost_table(costs: _Costs) -> Table:
    """Return sizes and shares; of a model that was pruned before, against its dense form too."""
    again = costs.dense != costs.before
    moments = (costs.dense, costs.before, costs.after) if again else (costs.before, costs.after)
    columns = (("dense",) if again else ()) + ("before", "after", "share")
    rows = []
    for words, name in (
        ("parameters", "params"),
        ("MACs (conv + linear)", "macs"),
        ("MACs (thop)", "thop_macs"),
    ):
        values = [getattr(cost, name) for cost in moments]
        shown = ["-" if value is None else f"{value:,}" for value in values]
        shares = [
            "" if not value or values[-1] is None else f"{values[-1] / value:.3f}" for value in values[:-1]
        ]
        rows.append((words, *shown, *reversed(shares)))
    return output.table(("", *columns, "share of dense") if again else ("", *columns), rows)


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


def _proof(planned: Planned) -> str:
    oracle = planned.oracle
    if oracle.refused:
        return f"the oracle does not apply: {oracle.refused}"
    return (
        f"shrunk and masked model differ by {oracle.max_relative_difference:.1e} (limit {oracle.limit:.0e})"
    )
