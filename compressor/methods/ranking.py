"""From a model and a request to a plan: trace, rank, allocate, choose, and check with the oracle."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from compressor.base.errors import OracleError, UsageError
from compressor.base.modules import named_tensors
from compressor.base.pace import Say, unheard
from compressor.channels import ChannelGraph, trace
from compressor.criteria import Chooser, Criterion
from compressor.criteria.view import GroupView, Stat, Statistics, group_view
from compressor.methods.collect import collect
from compressor.methods.effects import effects
from compressor.methods.proving import culprits, frozen, left_whole, proof_of
from compressor.methods.reading import PairReducer, pairs_read
from compressor.methods.spreads import spreads_read
from compressor.rates import PruneRequest
from compressor.rates.allocate import allocate, best_units
from compressor.rates.worth import Effect
from compressor.steps.choice import Choice
from compressor.steps.plan import PrunePlan, cut
from compressor.steps.shrink import OracleReport
from compressor.tasks.classification import CLASSIFICATION
from compressor.tasks.task import TASKS, Batch, Task
from compressor.zoo import Architecture

Batches = Iterable[Batch]

_ROUNDS = 4
"""Of freezing groups whose cut cannot be proven; others may appear once widths are others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what was seen while it was made.

    Attributes:
        plan: what to do.
        graph: the traced model.
        oracle: proof that carrying the plan out gives the right model.
    """

    plan: PrunePlan
    graph: ChannelGraph
    oracle: OracleReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What was seen of a model, whatever is asked of it afterwards.

    Attributes:
        graph: the traced model.
        views: what the criterion sees of each free group.
        importance: of their units.
        effects: what widths change in the outputs; empty where nobody asked, or where nothing is known of the
            readers of a group.
    """

    graph: ChannelGraph
    views: Mapping[int, GroupView]
    importance: Mapping[int, np.ndarray]
    effects: Mapping[int, Effect]


def make_plan(
    model: nn.Module,
    arch: Architecture,
    request: PruneRequest,
    criterion: Criterion,
    batches: Batches | None = None,
) -> Planned:
    """Plan the removal of channels from ``model``, which is not changed.

    Args:
        model: built and loaded.
        arch: where it came from: example input and rate layouts.
        request: how much to remove.
        criterion: what to remove.
        batches: training images for criteria that need data, and for ``worth``.

    Raises:
        CompressError: tracing, the request or the oracle failed.
    """
    ranking = ranking_of(model, arch, criterion, batches, worth=request.scope == "worth")
    return plan_by(ranking, model, arch, request, criterion)


def ranking_of(
    model: nn.Module,
    arch: Architecture,
    criterion: Criterion,
    batches: Batches | None,
    *,
    worth: bool,
    say: Say = unheard,
) -> Ranking:
    """Trace a model and rank its units.

    Args:
        model: built and loaded; it is not changed.
        arch: where it came from.
        criterion: ranks.
        batches: training images.
        worth: whether it is measured what widths change in the outputs, where there are images.
        say: called with a line for people, every ten seconds.

    Raises:
        CompressError: tracing or the criterion failed.
    """
    view, task = arch.view(model), TASKS.get(arch.task)
    graph = trace(view, arch.example())
    batches = list(batches) if worth and batches is not None else batches
    views = group_views(model, graph, criterion, batches, task)
    importance = ranked(criterion, views)
    measured: Mapping[int, Effect] = {}
    if worth and batches is not None:
        seen = views if Stat.SPREADS in criterion.needs else _spread(model, graph, batches, task)
        measured = effects(view, seen, importance, batches, task, say)
    known = measured if set(graph.free) <= set(measured) else {}
    return Ranking(graph=graph, views=views, importance=importance, effects=known)


def plan_by(
    ranking: Ranking,
    model: nn.Module,
    arch: Architecture,
    request: PruneRequest,
    criterion: Criterion,
    say: Say = unheard,
) -> Planned:
    """Plan by a ranking that was made before; see `make_plan`.

    Where the plan cannot be proven, groups whose cut cannot be proven alone stay whole, and the others are
    planned again.

    Raises:
        CompressError: the request or the oracle failed.
    """
    whole: list[int] = []
    for left in reversed(range(_ROUNDS + 1)):
        try:
            planned = _planned(ranking, model, arch, request, criterion)
        except _UnprovenError as failed:
            view = arch.view(model)
            found = culprits(view, arch, ranking.graph, failed.choices, say) if left else {}
            if not found or len(found) == len(ranking.graph.free):
                raise failed.error from None
            whole += found
            ranking = replace(ranking, graph=frozen(ranking.graph, found))
        except UsageError as error:
            if not whole:
                raise
            (why,) = left_whole(ranking.graph, whole)
            raise UsageError(f"{error.message}; {why}", error.hint) from error
        else:
            break
    notes = (*planned.plan.notes, *left_whole(planned.graph, whole))
    return replace(planned, plan=replace(planned.plan, notes=notes))


class _UnprovenError(Exception):
    """A plan could not be proven.

    Attributes:
        choices: of the plan.
        error: of the proof.
    """

    def __init__(self, choices: Mapping[int, Choice], error: OracleError) -> None:
        super().__init__(str(error))
        self.choices, self.error = choices, error


def _planned(
    ranking: Ranking, model: nn.Module, arch: Architecture, request: PruneRequest, criterion: Criterion
) -> Planned:
    inputs, view, graph, importance = arch.example(), arch.view(model), ranking.graph, ranking.importance
    scores = comparable(criterion, importance)
    allocation = allocate(graph, request, scores, arch.layouts, arch.name, ranking.effects)
    choices = {
        index: chosen_units(criterion, ranking.views[index], importance[index], int(allocation.kept[index]))
        for index in graph.free
        if int(allocation.kept[index]) < graph.groups[index].size
    }
    step = cut(graph, choices, allocation.decisions)
    plan = PrunePlan(arch=arch.name, steps=(step,), notes=notes_on(graph, choices))
    try:
        oracle = proof_of(view, plan, inputs, graph, choices)
    except OracleError as error:
        raise _UnprovenError(choices, error) from error
    return Planned(plan=plan, graph=graph, oracle=oracle)


def _spread(model: nn.Module, graph: ChannelGraph, batches: Batches, task: Task) -> dict[int, GroupView]:
    """Return the free groups with the spread of what their readers read."""
    tensors, seen = named_tensors(model), Statistics(spreads=spreads_read(model, graph, batches, task))
    return {index: group_view(tensors, graph, index, seen) for index in graph.free}


def group_views(
    model: nn.Module,
    graph: ChannelGraph,
    criterion: Criterion,
    batches: Batches | None = None,
    task: Task = CLASSIFICATION,
) -> dict[int, GroupView]:
    """Return group index -> what a criterion sees of it, of every free group.

    Raises:
        UsageError: data is missing.
    """
    statistics = _statistics(model, graph, criterion, batches, task)
    tensors = named_tensors(model)
    return {index: group_view(tensors, graph, index, statistics) for index in graph.free}


def _statistics(
    model: nn.Module, graph: ChannelGraph, criterion: Criterion, batches: Batches | None, task: Task
) -> Statistics:
    """Return all statistics that a criterion needs; each goes through the images once."""
    if len(criterion.needs) > 1 and batches is not None:
        batches = list(batches)
    found = Statistics()
    if criterion.needs & {Stat.GRADIENTS, Stat.ACTIVATIONS}:
        found = collect(model, criterion, batches, task)
    if isinstance(criterion, PairReducer):
        found = replace(found, pairs=pairs_read(model, graph, criterion, batches, task).pairs)
    if Stat.SPREADS in criterion.needs:
        found = replace(found, spreads=spreads_read(model, graph, batches, task))
    return found


@torch.no_grad()
def ranked(criterion: Criterion, views: Mapping[int, GroupView]) -> dict[int, np.ndarray]:
    """Return group index -> importance of its units, (units,).

    Raises:
        UsageError: an importance is not finite.
    """
    importance = {}
    for index, view in views.items():
        values = criterion(view).double().cpu().numpy()
        if not np.isfinite(values).all():
            raise UsageError(
                f"scores of {view.name} are not finite",
                "the weights hold NaN or infinity; check the checkpoint.",
            )
        importance[index] = values
    return importance


def comparable(criterion: Criterion, importance: Mapping[int, np.ndarray]) -> Mapping[int, np.ndarray]:
    """Return importance that may be ranked over all groups."""
    if criterion.comparable:
        return importance
    return {index: values / max(values.mean(), 1e-12) for index, values in importance.items()}


@torch.no_grad()
def chosen_units(criterion: Criterion, view: GroupView, importance: np.ndarray, count: int) -> Choice:
    """Return what a criterion chooses, the most important units where it does not choose by itself."""
    if isinstance(criterion, Chooser):
        return criterion.choose(view, importance, count)
    return Choice(best_units(importance, count))


def notes_on(graph: ChannelGraph, choices: Mapping[int, Choice]) -> tuple[str, ...]:
    """Return what a reader of the plan should know: units that change meaning, modules left alone."""
    inexact = sorted({str(graph.groups[i].inexact) for i in choices if graph.groups[i].inexact})
    notes = [f"removing channels changes what remains: {reason}" for reason in inexact]
    if graph.unused:
        notes.append(f"never run in evaluation mode, left as they are: {', '.join(graph.unused)}")
    return tuple(notes)
