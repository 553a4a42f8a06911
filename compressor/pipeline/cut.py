"""One shot of pruning: from a model and the settings to a smaller model and its manifest."""

from dataclasses import replace

import torch
from torch import nn

from compressor.artifact import Manifest, architecture_of
from compressor.channels import trace
from compressor.criteria import criterion_of
from compressor.errors import UsageError
from compressor.pipeline.models import calibration, cost_of, data_spec
from compressor.pipeline.settings import ExpectTable, Pipeline, PruneTable, rate_spec
from compressor.plan import joined
from compressor.prune import Planned, make_plan
from compressor.rates.prices import PRICES, whole_price
from compressor.rates.shots import Paid, Shot, ShotLayout, dense_widths, request_of_shot
from compressor.shrink import shrink
from compressor.types import Cost
from compressor.zoo import Architecture


def prune_shot(
    pipeline: Pipeline, model: nn.Module, manifest: Manifest, shot: Shot
) -> tuple[nn.Module, Manifest, Planned]:
    """Return a smaller model, what it is, and the plan that led to it.

    Raises:
        UsageError: the request makes no sense, or the whole cut does not cost what the file expects.
    """
    criterion = criterion_of(pipeline.prune.method, pipeline.prune.options, pipeline.training.seed)
    arch = architecture_of(manifest)
    spec = rate_spec(pipeline.prune, outside=arch.outside(pipeline.prune.parts))
    batches = calibration(pipeline, arch, model) if criterion.needs else None
    asked = request_of_shot(spec, shot, lambda price: _paid(price, model, arch))
    planned = make_plan(model, _read_by(arch, shot), asked, criterion, batches)
    small = shrink(model, planned.plan)
    cost = cost_of(small, arch)
    if shot.number == shot.total:
        _check_cost(pipeline.expect, cost)
    return (
        small,
        replace(
            manifest,
            plan=joined(manifest.plan, planned.plan),
            method=_in_words(pipeline.prune),
            cost_after=cost,
            data=data_spec(pipeline) if batches else manifest.data,
            oracle=planned.oracle,
        ),
        planned,
    )


def _read_by(arch: Architecture, shot: Shot) -> Architecture:
    """Return the architecture with layouts that read the rates of one shot."""
    if shot.total == 1 or not arch.layouts:
        return arch
    model = arch.build()
    widths = dense_widths(trace(arch.view(model), arch.example()))
    layouts = {name: ShotLayout(layout, shot.divisor, widths) for name, layout in arch.layouts.items()}
    return replace(arch, layouts=layouts)


def _paid(name: str, model: nn.Module, arch: Architecture) -> Paid:
    """Return what the dense model and ``model`` cost in a price."""
    price = PRICES.get(name)
    with torch.random.fork_rng(devices=[]):  # building draws weights
        dense = arch.build()
    graphs = [trace(arch.view(module), arch.example()) for module in (dense, model)]
    return Paid(dense=whole_price(price, graphs[0]), now=whole_price(price, graphs[1]))


def _check_cost(expect: ExpectTable, cost: Cost) -> None:
    for name, wanted in (("params", expect.params), ("macs", expect.macs)):
        found = getattr(cost, name)
        if wanted is not None and found != wanted:
            raise UsageError(
                f"[expect] {name} is {wanted:,}, but the pruned model has {found:,}",
                "correct it, or leave [expect] out where the rates were changed.",
            )


def _in_words(table: PruneTable) -> str:
    options = [f"{key}={value}" for key, value in table.options.items()]
    shots = [f"{table.shots} shots"] if table.shots > 1 else []
    return ", ".join([table.method, *options, rate_spec(table).describe(), *shots])
