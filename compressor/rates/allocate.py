"""Decide how many units each group keeps.

Four kinds of request: a published string, one rate for all, a share of the MACs, a share of the parameters.
The last two are met by bisection on the analytic cost, rounding and protection included, so that the result
is the largest network of its family that fits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import gcd

import numpy as np

from compressor.channels.components import Ids
from compressor.channels.graph import ChannelGraph, module_of
from compressor.cost import cost_model, kept_units
from compressor.errors import UsageError
from compressor.rates.layout import Layout, check_length
from compressor.rates.strings import checked_rate, parse_rates
from compressor.types import ChannelGroup, GroupDecision, RateSpec

Scores = Mapping[int, np.ndarray]


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
    locked = _locked(graph, spec)
    if len(locked) == len(graph.groups):
        raise UsageError(f"{arch}: every group is frozen or protected", "see why with: compress models NAME.")
    requested = _requested(graph, spec, scores, layouts, arch, locked)
    kept = _rounded(graph, requested, spec.round_to, locked)
    decisions = tuple(
        _decision(group, int(requested[i]), int(kept[i]), locked.get(i), spec.round_to)
        for i, group in enumerate(graph.groups)
    )
    return Allocation(kept=kept, decisions=decisions)


def _decision(
    group: ChannelGroup, requested: int, kept: int, locked: str | None, round_to: int
) -> GroupDecision:
    reason = locked or ("" if kept == requested else f"rounded to a multiple of {round_to}")
    return GroupDecision(name=group.name, size=group.size, requested=requested, kept=kept, reason=reason)


def _locked(graph: ChannelGraph, spec: RateSpec) -> dict[int, str]:
    """Return the groups that stay whole, each with the reason."""
    locked = {}
    unmatched = set(spec.protect)
    for index, group in enumerate(graph.groups):
        names = {group.name, *(module_of(p) for p in group.producers)}
        hits = {p for p in spec.protect if any(_matches(name, p) for name in names)}
        unmatched -= hits
        if group.frozen:
            locked[index] = group.frozen
        elif hits:
            locked[index] = f"kept by --keep {sorted(hits)[0]}"
        elif group.inexact and not spec.allow_inexact:
            locked[index] = f"{group.inexact}; --allow-inexact prunes it"
    if unmatched:
        raise UsageError(
            f"--keep {sorted(unmatched)[0]} matches no group", "see the names with: compress models NAME."
        )
    return locked


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(pattern + ".")


def _requested(
    graph: ChannelGraph,
    spec: RateSpec,
    scores: Scores,
    layouts: Mapping[str, Layout],
    arch: str,
    locked: Mapping[int, str],
) -> Ids:
    sizes = kept_units(graph)
    if spec.target == "rates":
        return _from_string(graph, spec, layouts, arch, locked)
    if spec.target != "rate":
        return _to_budget(graph, spec, scores, locked)
    checked_rate(spec.fraction)
    if spec.scope == "uniform":
        return _uniform(sizes, spec.fraction, locked)
    return _by_rank(graph, scores, spec, locked)(_share_of_units(sizes, spec.fraction, locked))


def _uniform(sizes: Ids, rate: float, locked: Mapping[int, str]) -> Ids:
    kept: Ids = np.maximum(1, np.rint(sizes * (1 - rate))).astype(np.int64)
    kept[list(locked)] = sizes[list(locked)]
    return kept


def _from_string(
    graph: ChannelGraph, spec: RateSpec, layouts: Mapping[str, Layout], arch: str, locked: Mapping[int, str]
) -> Ids:
    name, layout = _layout(spec, layouts, arch)
    rates = parse_rates(spec.rates)
    check_length(layout, rates, arch, name)
    kept = kept_units(graph)
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
        if index not in locked:
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


def _rounded(graph: ChannelGraph, kept: Ids, round_to: int, locked: Mapping[int, str]) -> Ids:
    """Round widths in channels to the nearest multiple, at least one multiple, at most the dense width."""
    if round_to < 1:
        raise UsageError(f"--round-to {round_to}", "give a positive number of channels, for instance 8.")
    result = kept.copy()
    sizes = kept_units(graph)
    for index in set(range(len(kept))) - set(locked):
        if kept[index] < sizes[index]:
            step = round_to // gcd(round_to, _channels(graph, index))
            nearest = max(1, int(kept[index] / step + 0.5)) * step
            result[index] = min(nearest, sizes[index])
    return result


Family = Callable[[int], Ids]


def _to_budget(graph: ChannelGraph, spec: RateSpec, scores: Scores, locked: Mapping[int, str]) -> Ids:
    """Return the largest member of a family of shrinking networks whose cost is within the budget."""
    if not 0 < spec.fraction <= 1:
        raise UsageError(
            f"--{spec.target} {spec.fraction} is not in (0, 1]",
            "give the share that may remain, for instance 0.5.",
        )
    cost = cost_model(graph)
    steps, family = _family(graph, spec, scores, locked)
    kind = "macs" if spec.target == "macs" else "params"
    dense = getattr(cost(kept_units(graph)), kind)

    def share(step: int) -> float:
        return float(getattr(cost(_rounded(graph, family(step), spec.round_to, locked)), kind) / dense)

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


def _family(
    graph: ChannelGraph, spec: RateSpec, scores: Scores, locked: Mapping[int, str]
) -> tuple[int, Family]:
    sizes = kept_units(graph)
    if spec.scope == "uniform":
        steps = 2000
        return steps, lambda step: _uniform(sizes, spec.max_rate * step / steps, locked)
    return int(sum(s for i, s in enumerate(sizes) if i not in locked)), _by_rank(graph, scores, spec, locked)


def _share_of_units(sizes: Ids, rate: float, locked: Mapping[int, str]) -> int:
    return round(rate * sum(int(s) for i, s in enumerate(sizes) if i not in locked))


def _by_rank(graph: ChannelGraph, scores: Scores, spec: RateSpec, locked: Mapping[int, str]) -> Family:
    """Return: number of lowest-ranked units to remove -> units kept per group, none below its floor."""
    sizes = kept_units(graph)
    free = [i for i in range(len(sizes)) if i not in locked]
    floor = np.array([max(1, round(sizes[i] * (1 - spec.max_rate))) for i in free])
    owner = np.concatenate([np.full(sizes[i], n) for n, i in enumerate(free)])
    order = np.argsort(np.concatenate([scores[i] for i in free]), kind="stable")

    def keep(removed: int) -> Ids:
        kept = sizes.copy()
        lost = np.bincount(owner[order[:removed]], minlength=len(free))
        kept[free] = np.maximum(sizes[free] - lost, floor)
        return kept

    return keep


def best_units(scores: np.ndarray, count: int) -> Ids:
    """Return the ``count`` highest-scored units, ascending; equal scores keep the lower index."""
    return np.sort(np.argsort(-scores, kind="stable")[:count]).astype(np.int64)
