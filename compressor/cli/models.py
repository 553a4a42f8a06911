"""``compress models``: architectures, and the channel groups of one."""

from typing import Annotated

import typer

from compressor.cli.options import ClassesOpt, InputOpt, JsonOpt, TrustOpt, WeightsOpt


def models(
    name: Annotated[str | None, typer.Argument(help="A model to explain; all names without it.")] = None,
    weights: WeightsOpt = None,
    classes: ClassesOpt = None,
    shape: InputOpt = None,
    trust_code: TrustOpt = False,
    json: JsonOpt = False,
) -> None:
    """List architectures; with NAME, its channel groups, rate layouts and cost.

    Examples: compress models; compress models resnet50; compress models my.package:factory --input 3x128x128
    """
    from compressor.cli import output

    if name is None:
        from compressor.zoo import known_names

        output.print_json({"models": known_names()}) if json else output.show("\n".join(known_names()))
        return
    from compressor.base.documents import encode
    from compressor.channels import trace
    from compressor.cli.sources import open_model, trust_in

    source = open_model(name, weights, classes, shape, trust=trust_in([name], everything=trust_code))
    graph, cost = trace(source.view, source.example()), source.manifest.cost_after
    layouts = {key: list(layout.expected) for key, layout in source.arch.layouts.items()}
    if json:
        groups = [encode(group) for group in graph.groups]
        output.print_json({"model": name, "cost": encode(cost), "groups": groups, "layouts": layouts})
        return
    output.show(
        graph.explain(),
        *(f"layout {key}: {len(words)} rates: {', '.join(words)}" for key, words in layouts.items()),
        f"{len(graph.free)} of {len(graph.groups)} groups can be pruned; {cost.params:,} parameters, "
        f"{cost.macs:,} MACs (thop: {'-' if cost.thop_macs is None else f'{cost.thop_macs:,}'})",
    )
