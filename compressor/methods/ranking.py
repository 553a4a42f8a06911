"""From a model and a request to a plan: trace, score, allocate, choose, and check with the oracle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.base.modules import named_tensors
from compressor.channels import ChannelGraph, trace
from compressor.criteria import Criterion
from compressor.criteria.view import group_view
from compressor.methods.collect import collect
from compressor.rates import PruneRequest
from compressor.rates.allocate import Allocation, allocate, best_units
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import ORACLE_LIMIT, OracleReport, check, run_shrunk
from compressor.tasks.classification import CLASSIFICATION
from compressor.tasks.task import TASKS, Batch, Task
from compressor.zoo import Architecture

Batches = Iterable[Batch]


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
        batches: training images for criteria that need data.

    Raises:
        CompressError: tracing, the request or the oracle failed.
    """
    inputs, view = arch.example(), arch.view(model)
    graph = trace(view, inputs)
    scores = score(model, graph, criterion, batches, TASKS.get(arch.task))
    comparable = scores if criterion.comparable else {i: s / max(s.mean(), 1e-12) for i, s in scores.items()}
    allocation = allocate(graph, request, comparable, arch.layouts, arch.name)
    keep = {
        i: best_units(scores[i], int(allocation.kept[i]))
        for i in graph.free
        if _shrinks(graph, allocation, i)
    }
    step = removal(graph, keep, allocation.decisions)
    plan = PrunePlan(arch=arch.name, steps=(step,), notes=_notes(graph, keep))
    return Planned(plan=plan, graph=graph, oracle=_oracle(view, plan, inputs, graph, keep))


def _shrinks(graph: ChannelGraph, allocation: Allocation, index: int) -> bool:
    return int(allocation.kept[index]) < graph.groups[index].size


def score(
    model: nn.Module,
    graph: ChannelGraph,
    criterion: Criterion,
    batches: Batches | None = None,
    task: Task = CLASSIFICATION,
) -> dict[int, np.ndarray]:
    """Return group index -> (units,) scores of every free group.

    Raises:
        UsageError: a score is not finite, or data is missing.
    """
    statistics, tensors = collect(model, criterion, batches, task), named_tensors(model)
    scores = {}
    with torch.no_grad():
        for index in graph.free:
            values = criterion(group_view(tensors, graph, index, statistics)).double().cpu().numpy()
            if not np.isfinite(values).all():
                raise UsageError(
                    f"scores of {graph.groups[index].name} are not finite",
                    "the weights hold NaN or infinity; check the checkpoint.",
                )
            scores[index] = values
    return scores


def _notes(graph: ChannelGraph, keep: dict[int, np.ndarray]) -> tuple[str, ...]:
    inexact = sorted({str(graph.groups[i].inexact) for i in keep if graph.groups[i].inexact})
    notes = [f"removing channels changes what remains: {reason}" for reason in inexact]
    if graph.unused:
        notes.append(f"never run in evaluation mode, left as they are: {', '.join(graph.unused)}")
    return tuple(notes)


def _oracle(
    model: nn.Module,
    plan: PrunePlan,
    inputs: Sequence[Tensor],
    graph: ChannelGraph,
    keep: dict[int, np.ndarray],
) -> OracleReport:
    """Prove the plan; where units are inexact, prove that the result runs and say why no more is claimed."""
    inexact = [graph.groups[i].inexact for i in keep if graph.groups[i].inexact]
    if not inexact:
        return check(model, plan, inputs)
    run_shrunk(model, plan, inputs)
    return OracleReport(max_relative_difference=None, limit=ORACLE_LIMIT, refused=inexact[0])
