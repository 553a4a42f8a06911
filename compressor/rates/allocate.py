"""Decide how many units each group keeps.

Four kinds of request: a published string, one rate for all, a share of the MACs, a share of the parameters.
The last two are met by bisection on the analytic cost, rounding, protection and own rates of single groups
included, so that the result is the largest network of its family that fits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np

from compressor.channels.components import Ids
from compressor.channels.graph import ChannelGraph
from compressor.cost import cost_model, kept_units
from compressor.errors import UsageError
from compressor.rates.held import held
from compressor.rates.layout import Layout, check_length
from compressor.rates.strings import checked_rate, parse_rates
from compressor.types import ChannelGroup, GroupDecision, RateSpec

Scores = Mapping[int, np.ndarray]
Units = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many units each group keeps, and what was decided for each.

    Attributes:
        kept: units per group, (groups,).
        decisions: requested and kept, with reasons.
    """

    kept: Ids
    decisions: tuple[GroupDecision, ...]


def allocate(
    graph: ChannelGraph, spec: RateSpec, scores: Scores, layouts: Mapping[str, Layout], arch: str
) -> Allocation:
    """Resolve a request against a traced model.

    Args:
        graph: the traced model.
        spec: the request.
        scores: group index -> (units,), higher means keep, comparable between groups; for global ranking.
        layouts: the architecture's rate layouts by name.
        arch: its name, for messages.

    Raises:
        UsageError: the request cannot be met or makes no sense for this model.
    """
    settled = held(graph, spec, arch)
    requested = _requested(graph, spec, scores, layouts, arch, settled.units)
    kept = _rounded(graph, requested, spec.round_to)
    decisions = tuple(
        _decision(group, int(requested[i]), int(kept[i]), settled.reasons.get(i), spec.round_to)
        for i, group in enumerate(graph.groups)
    )
    return Allocation(kept=kept, decisions=decisions)


def _decision(
    group: ChannelGroup, requested: int, kept: int, settled: str | None, round_to: int
) -> GroupDecision:
    rounded = "" if kept == requested else f"rounded to a multiple of {round_to}"
    reason = ", ".join(filter(None, (settled, rounded)))
    return GroupDecision(name=group.name, size=group.size, requested=requested, kept=kept, reason=reason)


def _requested(
    graph: ChannelGraph,
    spec: RateSpec,
    scores: Scores,
    layouts: Mapping[str, Layout],
    arch: str,
    settled: Units,
) -> Ids:
    sizes = kept_units(graph)
    if spec.target == "rates":
        return _from_string(graph, spec, layouts, arch, settled)
    if spec.target != "rate":
        return _to_budget(graph, spec, scores, settled)
    checked_rate(spec.fraction)
    if spec.scope == "uniform":
        return _uniform(sizes, spec.fraction, settled)
    return _by_rank(graph, scores, spec, settled)(_share_of_units(sizes, spec.fraction, settled))


def _uniform(sizes: Ids, rate: float, settled: Units) -> Ids:
    kept: Ids = np.maximum(1, np.rint(sizes * (1 - rate))).astype(np.int64)
    kept[list(settled)] = list(settled.values())
    return kept


def _from_string(
    graph: ChannelGraph, spec: RateSpec, layouts: Mapping[str, Layout], arch: str, settled: Units
) -> Ids:
    name, layout = _layout(spec, layouts, arch)
    layout, rates = spec.read(layout), parse_rates(spec.rates)
    check_length(layout, rates, arch, name)
    kept = _uniform(kept_units(graph), 0, settled)
    chosen: dict[int, tuple[str, int]] = {}
    sizes = {path: _channels(graph, i) * graph.groups[i].size for path, i in graph.by_producer.items()}
    for path, width in layout.widths(rates, sizes).items():
        index = graph.by_producer[path]
        other, before = chosen.setdefault(index, (path, width))
        if before != width:
            raise UsageError(
                f"{arch}: the rates give {other} {before} and {path} {width} channels, but both feed one sum",
                "give layers of one residual stage the same rate.",
            )
        if index not in settled:
            kept[index] = _whole_units(graph, index, width, path)
    return kept


def _whole_units(graph: ChannelGraph, index: int, width: int, path: str) -> int:
    units = width // _channels(graph, index)
    if units < 1:
        raise UsageError(f"the rates leave {path} no channels", "lower its rate.")
    return units


def _layout(spec: RateSpec, layouts: Mapping[str, Layout], arch: str) -> tuple[str, Layout]:
    if not layouts:
        raise UsageError(f"{arch} has no published rate layout", "use --rate, --macs or --params.")
    name = spec.layout or next(iter(layouts))
    if name not in layouts:
        raise UsageError(f"{arch} has no layout {name!r}", f"layouts: {', '.join(layouts)}.")
    return name, layouts[name]


def _channels(graph: ChannelGraph, index: int) -> int:
    """Return the channels per unit on the axis of the group's first producer."""
    producers = [e for e in graph.touching[index] if e.role == "producer"]
    entry = (producers or graph.touching[index])[0]
    return int((entry.group == index).sum()) // graph.groups[index].size


def _rounded(graph: ChannelGraph, kept: Ids, round_to: int) -> Ids:
    """Round widths in channels to the nearest multiple, at least one multiple, at most the dense width."""
    if round_to < 1:
        raise UsageError(f"--round-to {round_to}", "give a positive number of channels, for instance 8.")
    result = kept.copy()
    sizes = kept_units(graph)
    for index in np.flatnonzero(kept < sizes).tolist():
        step = round_to // gcd(round_to, _channels(graph, index))
        nearest = max(1, int(kept[index] / step + 0.5)) * step
        result[index] = min(nearest, sizes[index])
    return result


Family = Callable[[int], Ids]


def _to_budget(graph: ChannelGraph, spec: RateSpec, scores: Scores, settled: Units) -> Ids:
    """Return the largest member of a family of shrinking networks whose cost is within the budget."""
    if not 0 < spec.fraction <= 1:
        raise UsageError(
            f"--{spec.target} {spec.fraction} is not in (0, 1]",
            "give the share that may remain, for instance 0.5.",
        )
    cost = cost_model(graph)
    steps, family = _family(graph, spec, scores, settled)
    kind = "macs" if spec.target == "macs" else "params"
    dense = getattr(cost(kept_units(graph)), kind)

    def share(step: int) -> float:
        return float(getattr(cost(_rounded(graph, family(step), spec.round_to)), kind) / dense)

    smallest = share(steps)
    if smallest > spec.fraction:
        raise UsageError(
            f"--{kind} {spec.fraction} is out of reach: the smallest allowed network keeps {smallest:.3f}",
            "raise the target, allow more with --max-rate, or protect fewer layers with --keep.",
        )
    low, high = 0, steps
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if share(middle) <= spec.fraction else (middle + 1, high)
    return family(low)


def _family(graph: ChannelGraph, spec: RateSpec, scores: Scores, settled: Units) -> tuple[int, Family]:
    sizes = kept_units(graph)
    if spec.scope == "uniform":
        steps = 2000
        return steps, lambda step: _uniform(sizes, spec.max_rate * step / steps, settled)
    return _share_of_units(sizes, 1, settled), _by_rank(graph, scores, spec, settled)


def _share_of_units(sizes: Ids, rate: float, settled: Units) -> int:
    return round(rate * sum(int(s) for i, s in enumerate(sizes) if i not in settled))


def _by_rank(graph: ChannelGraph, scores: Scores, spec: RateSpec, settled: Units) -> Family:
    """Return: number of lowest-ranked units to remove -> units kept per group, none below its floor."""
    sizes = kept_units(graph)
    free = [i for i in range(len(sizes)) if i not in settled]
    if not free:
        raise UsageError("no group is left to rank", "leave a --rate-of or a --keep out.")
    floor = np.array([max(1, round(sizes[i] * (1 - spec.max_rate))) for i in free])
    owner = np.concatenate([np.full(sizes[i], n) for n, i in enumerate(free)])
    order = np.argsort(np.concatenate([scores[i] for i in free]), kind="stable")

    def keep(removed: int) -> Ids:
        kept = _uniform(sizes, 0, settled)
        lost = np.bincount(owner[order[:removed]], minlength=len(free))
        kept[free] = np.maximum(sizes[free] - lost, floor)
        return kept

    return keep


def best_units(scores: np.ndarray, count: int) -> Ids:
    """Return the ``count`` highest-scored units, ascending; equal scores keep the lower index."""
    return np.sort(np.argsort(-scores, kind="stable")[:count]).astype(np.int64)
