"""``compress prune``: plan, shrink, optionally fine-tune, and save."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compressor.base.errors import UsageError
from compressor.cli.options import (
    ClassesOpt,
    DataOpt,
    DetectionsOpt,
    DeviceOpt,
    EpochsOpt,
    InputOpt,
    JsonOpt,
    ModelArg,
    OutputOpt,
    ProposalsOpt,
    RecipeOpt,
    RepairOpt,
    SeedOpt,
    SetOpt,
    TrustOpt,
    WeightsOpt,
)
from compressor.rates.request import SCOPES, Scope

if TYPE_CHECKING:
    from bench.layers.aim import Aim


def prune(
    model: ModelArg,
    output: OutputOpt = None,
    weights: WeightsOpt = None,
    method: Annotated[str, typer.Option("--method", help="Criterion or method: {criterion|method}.")] = "l1",
    options: Annotated[
        list[str] | None,
        typer.Option("--option", help="Option of the method, metric=cosine or rank=2; repeatable."),
    ] = None,
    coring_compat: Annotated[
        bool,
        typer.Option("--coring-compat", help="CORING with its authors' accidents: raw signs, order on 1x1."),
    ] = False,
    rates: Annotated[str | None, typer.Option("--rates", help='Published string: "[0.]+[0.18]*29".')] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", help="How to read it; `compress models MODEL` lists layouts.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Share of every group to remove.")] = None,
    macs: Annotated[
        float | None, typer.Option("--macs", help="MACs that may remain: 0.5, a share, or 2.05e9, an amount.")
    ] = None,
    params: Annotated[
        float | None, typer.Option("--params", help="Parameters that may remain, a share or an amount.")
    ] = None,
    budget: Annotated[
        list[str] | None, typer.Option("--budget", help="The same in any price, NAME=0.5: {price}.")
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency",
            help="Measured time of a call that may remain: 0.5, a share, or 25ms. Exits with 4 "
            "where it is missed.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Runtime on which --latency holds, usually onnxruntime: {profiler}."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Its threads on the CPU.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Its samples per call, usually 1.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table", help="Latency table of the model, by compress profile --table; else measured."
        ),
    ] = None,
    foreign_table: Annotated[
        bool,
        typer.Option(
            "--foreign-table", help="Plan by --table for the machine it is of; nothing is measured."
        ),
    ] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="uniform (same rate everywhere), global (one ranking of all) or worth (most importance that "
            "a budget buys, with --data least change of the outputs; usual for --latency); of a detector "
            "also backbone or detector (all of it). Repeatable.",
        ),
    ] = None,
    round_to: Annotated[
        int | None,
        typer.Option(
            "--round-to", help="Widths become multiples of this; unless given, 1, for --latency the target's."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Modules to leave whole, a glob; repeatable.")
    ] = None,
    rate_of: Annotated[
        list[str] | None,
        typer.Option(
            "--rate-of",
            help="Modules, a glob, with a rate of their own, backbone.fpn=0.5; the others meet the target. "
            "Repeatable.",
        ),
    ] = None,
    max_rate: Annotated[
        float, typer.Option("--max-rate", help="Most that one group loses under --macs, --params.")
    ] = 0.9,
    repair: RepairOpt = False,
    allow_inexact: Annotated[
        bool, typer.Option("--allow-inexact", help="Also prune under norms over channels.")
    ] = False,
    data: DataOpt = None,
    epochs: EpochsOpt = None,
    recipe: RecipeOpt = None,
    settings: SetOpt = None,
    classes: ClassesOpt = None,
    shape: InputOpt = None,
    proposals: ProposalsOpt = None,
    detections: DetectionsOpt = None,
    device: DeviceOpt = "cpu",
    seed: SeedOpt = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and check, write nothing.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print the channel groups first.")] = False,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """Prune MODEL and write an artifact.

    Examples: compress prune resnet50 --weights r50.pth --macs 0.5 --round-to 16 -o half;
    compress prune resnet50 --latency 0.5 --threads 2 -o half;
    compress prune resnet56_cifar --rates "[0.]+[0.18]*29" --dry-run --json
    """
    from compressor.chain.settings import PruneTable, RepairTable
    from compressor.cli.training import parse_setting

    if coring_compat and method != "coring":
        raise UsageError(f"--coring-compat says nothing to {method}", "give --method coring with it.")
    options = [*(options or []), *(["compat=true"] if coring_compat else [])]
    typed: dict[str, Any] = dict(parse_setting(option, "--option") for option in options)
    ranking, parts = _scopes(scope or [])
    where = {"target": target, "threads": threads, "batch": batch, "table": table and str(table)}
    aim = _aim(latency, {**where, "foreign_table": foreign_table or None}, ranking, round_to)
    asked = PruneTable(
        method=method, options=typed,
        rates=rates, layout=layout, rate=rate, macs=macs, params=params,
        budget=dict(_budget(text) for text in budget or ()) or None, latency=aim,
        scope=ranking or "uniform", round_to=round_to or 1,
        keep=tuple(keep or ()), rate_of=dict(_own_rate(text) for text in rate_of or ()), parts=tuple(parts),
        max_rate=max_rate, allow_inexact=allow_inexact,
    )  # fmt: skip
    from compressor.base.devices import open_device
    from compressor.cli.prune_run import Request, run
    from compressor.cli.sources import open_model, output_path, trust_in
    from compressor.cli.training import resolve_recipe

    training = epochs is not None or recipe is not None
    if data is None:
        _require_images({"fine-tuning": training, "repair": repair})
    place = None if dry_run else output_path(output)
    levers = {"proposals": proposals, "detections": detections}
    source = open_model(
        model, weights, classes, shape, levers, trust_in([model], everything=trust_code), seed
    )
    default = replace(source.task.learning.recipe, seed=seed)
    resolved = resolve_recipe(recipe, epochs, settings or [], default) if training else None
    request = Request(
        source=source, table=asked, data=data, recipe=resolved,
        repair=RepairTable() if repair else None,
        output=place, device=open_device(device), seed=seed, explain=explain, json=json,
    )  # fmt: skip
    run(request)


def _require_images(wanted: Mapping[str, bool]) -> None:
    """Refuse what was asked for and looks at images: there are none."""
    for name in (name for name, asked in wanted.items() if asked):
        raise UsageError(f"{name} needs images", "give --data, for instance --data digits.")


def _own_rate(text: str) -> tuple[str, float]:
    pattern, _, rate = text.rpartition("=")
    try:
        return pattern, float(rate)
    except ValueError:
        raise UsageError(
            f"--rate-of {text} has no rate", "give a pattern, = and a share: backbone.fpn=0.5."
        ) from None


def _budget(text: str) -> tuple[str, float]:
    price, _, number = text.rpartition("=")
    try:
        return price, float(number)
    except ValueError:
        raise UsageError(
            f"--budget {text} has no number",
            "give the name of a price, = and a share or an amount: macs=0.5.",
        ) from None


def _scopes(given: list[str]) -> tuple[Scope | None, list[str]]:
    """Tell how rates are spread, if that is said, from which part is pruned."""
    spread = [name for name in SCOPES if name in given]
    if len(spread) > 1:
        raise UsageError(f"--scope {' and '.join(spread)} exclude each other", "give one of them.")
    return (spread[0] if spread else None), [n for n in given if n not in spread]


def _aim(text: str | None, where: dict[str, Any], scope: Scope | None, round_to: int | None) -> "Aim | None":
    """Return the latency that is asked for; what says where it holds needs one."""
    from bench.layers.aim import Aim

    given = {name: value for name, value in where.items() if value is not None}
    if text is not None:
        return Aim.asked(text, **given, scope=scope or "worth", round_to=round_to)
    for name in given:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} says where --latency holds", "give --latency with it, or leave it out.")
    return None
