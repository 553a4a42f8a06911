"""How much each group of channels matters: prune it alone, at several rates, and score what is left.

Nothing is trained in between, so that the result says which layers can give channels, not what accuracy they
will have after fine-tuning. The study is planned first and is pure; scoring is a function of the caller's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from torch import nn

from compressor.base.errors import UsageError
from compressor.channels import ChannelGraph, trace
from compressor.channels.cost import Cost, cost_model, kept_units
from compressor.criteria import Criterion
from compressor.methods.ranking import Batches, chosen_units, group_views, ranked
from compressor.rates import PruneRequest, Share
from compressor.rates.allocate import allocate
from compressor.rates.patterns import matched
from compressor.steps.choice import Choice
from compressor.steps.decisions import GroupDecision
from compressor.steps.plan import PrunePlan, cut
from compressor.steps.shrink import check, run_shrunk, shrink
from compressor.tasks.task import TASKS
from compressor.zoo import Architecture

QualityOf = Callable[[nn.Module], float]
"""Model -> quality in percent, higher is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One group pruned alone, before it is scored.

    Attributes:
        group: its name.
        size: its units.
        rate: share of its units that was asked to go, 0..1.
        kept: units that stay.
        cost: of the whole network afterwards.
        plan: carries it out.
    """

    group: str
    size: int
    rate: float
    kept: int
    cost: Cost
    plan: PrunePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What will be scored: every chosen group at every rate, groups in network order, rates ascending.

    Attributes:
        dense: cost of the network as it is.
        cuts: one per group and rate.
    """

    dense: Cost
    cuts: tuple[Cut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One group pruned alone, scored.

    Attributes:
        group: its name.
        size: its units.
        rate: share of its units that was asked to go, 0..1.
        kept: units that stay.
        quality: of the network without fine-tuning, percent.
        macs: of the whole network.
        params: of the whole network.
    """

    group: str
    size: int
    rate: float
    kept: int
    quality: float
    macs: int
    params: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSensitivity:
    """All points of one group, and their sum.

    Attributes:
        group: its name.
        size: its units.
        points: by rate, ascending.
        loss_per_macs: quality lost for every percent of the network's MACs saved, in percentage points; both
            summed over the points. None where nothing is saved.
    """

    group: str
    size: int
    points: tuple[Point, ...]
    loss_per_macs: float | None


def sensitivity(
    model: nn.Module,
    arch: Architecture,
    criterion: Criterion,
    rates: Sequence[float],
    score: QualityOf,
    batches: Batches | None = None,
    groups: Sequence[str] = (),
) -> Iterator[Point]:
    """Prune each free group of ``model`` alone at each rate, and score the result.

    Args:
        model: built and loaded; it is not changed.
        arch: where it came from.
        criterion: chooses the units that go.
        rates: shares of a group to remove, in [0, 1).
        score: returns the quality of a model.
        batches: training images for criteria that need data.
        groups: patterns of groups or modules to study; none means all free groups.

    Raises:
        CompressError: tracing, a rate, a pattern or the oracle failed.
    """
    for one in plan_study(model, arch, criterion, rates, batches, groups).cuts:
        yield scored(one, score(shrink(model, one.plan)))


def plan_study(
    model: nn.Module,
    arch: Architecture,
    criterion: Criterion,
    rates: Sequence[float],
    batches: Batches | None = None,
    groups: Sequence[str] = (),
) -> Inspection:
    """Return what :func:`sensitivity` scores; the model is traced and its units are ranked once.

    Raises:
        CompressError: tracing, a rate, a pattern or the oracle failed.
    """
    if not rates:
        raise UsageError("there are no rates to study", 'give some, for instance "0.1,0.5,0.9".')
    view = arch.view(model)
    graph = trace(view, arch.example())
    chosen = _chosen(graph, groups)
    views = group_views(model, graph, criterion, batches, TASKS.get(arch.task))
    scores = ranked(criterion, views)
    kept = {rate: _kept(graph, rate, scores, arch.name) for rate in sorted(set(rates))}
    choices = {
        (i, r): chosen_units(criterion, views[i], scores[i], int(kept[r][i])) for i in chosen for r in kept
    }
    _prove(view, arch, graph, {i: choices[i, max(kept)] for i in chosen})
    cuts = tuple(_cut(graph, arch, index, rate, choice) for (index, rate), choice in choices.items())
    return Inspection(dense=cost_model(graph)(kept_units(graph)), cuts=cuts)


def _chosen(graph: ChannelGraph, patterns: Sequence[str]) -> list[int]:
    """Return the free groups that some pattern matches, in network order; all of them without patterns."""
    found = set() if patterns else set(graph.free)
    for pattern in patterns:
        hits = matched(graph, pattern, "--group")
        if not set(hits) & set(graph.free):
            group = graph.groups[hits[0]]
            raise UsageError(f"{group.name} cannot be pruned: {group.frozen}", "choose another --group.")
        found |= set(hits) & set(graph.free)
    return sorted(found)


def _kept(graph: ChannelGraph, rate: float, scores: Mapping[int, np.ndarray], arch: str) -> np.ndarray:
    """Return the units that ``compress prune --rate`` would keep in each group, (groups,)."""
    request = PruneRequest(target=Share(rate), allow_inexact=True)
    return allocate(graph, request, scores, {}, arch).kept


def _cut(graph: ChannelGraph, arch: Architecture, index: int, rate: float, choice: Choice) -> Cut:
    group, count = graph.groups[index], len(choice.keep)
    decision = GroupDecision(name=group.name, size=group.size, requested=count, kept=count)
    widths = kept_units(graph)
    widths[index] = count
    return Cut(
        group=group.name,
        size=group.size,
        rate=rate,
        kept=count,
        cost=cost_model(graph)(widths),
        plan=PrunePlan(arch=arch.name, steps=(cut(graph, {index: choice}, (decision,)),)),
    )


def _prove(view: nn.Module, arch: Architecture, graph: ChannelGraph, choices: Mapping[int, Choice]) -> None:
    """Run the oracle once with the deepest cuts of all groups together; without it where it cannot apply."""
    plan = PrunePlan(arch=arch.name, steps=(cut(graph, choices, ()),))
    inexact = any(graph.groups[index].inexact for index in choices)
    (run_shrunk if inexact else check)(view, plan, arch.example())


def scored(cut: Cut, quality: float) -> Point:
    """Return a cut with the quality, in percent, of the network that it leaves."""
    return Point(
        group=cut.group,
        size=cut.size,
        rate=cut.rate,
        kept=cut.kept,
        quality=quality,
        macs=cut.cost.macs,
        params=cut.cost.params,
    )


def by_group(points: Sequence[Point], quality: float, cost: Cost) -> list[GroupSensitivity]:
    """Sum up the points of each group, in their order.

    Args:
        points: those of one group follow each other.
        quality: of the dense network, percent.
        cost: of the dense network.
    """
    return [_summed(name, tuple(own), quality, cost.macs) for name, own in groupby(points, lambda p: p.group)]


def _summed(name: str, points: tuple[Point, ...], quality: float, macs: int) -> GroupSensitivity:
    lost = sum(quality - point.quality for point in points)
    saved = sum(100 * (1 - point.macs / macs) for point in points)
    return GroupSensitivity(
        group=name, size=points[0].size, points=points, loss_per_macs=lost / saved if saved > 0 else None
    )


def most_sensitive_first(groups: Sequence[GroupSensitivity]) -> list[GroupSensitivity]:
    """Return the groups that save MACs, those that lose most quality for them first."""
    priced = [(group.loss_per_macs, group) for group in groups if group.loss_per_macs is not None]
    return [group for _, group in sorted(priced, key=lambda pair: -pair[0])]
