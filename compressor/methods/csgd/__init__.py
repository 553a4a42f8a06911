"""Centripetal SGD: train filters until some are the same, then cut the copies without loss.

Ding et al., Centripetal SGD for Pruning Very Deep Convolutional Networks with Complicated Structure, 2019.
Units are put into clusters by the weights that the training starts from; `centripetal` draws each cluster
together while the network learns; what has become one is trimmed to one, whose consumers read for all. The
proof compares the trimmed network with the untrimmed one. Units of a residual stage live together already:
one layer of the stage, the pacesetter, decides for all.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from compressor.artifact import Artifact
from compressor.base.errors import ParityError, UsageError
from compressor.base.modules import named_tensors
from compressor.base.options import with_options
from compressor.base.registry import unknown_name
from compressor.channels import ChannelGraph, trace
from compressor.criteria.l1 import L1
from compressor.criteria.view import GroupView
from compressor.methods import METHODS
from compressor.methods.csgd.centripetal import Centripetal, Force, update_matrices
from compressor.methods.csgd.clustering import KINDS, clusters
from compressor.methods.csgd.ties import Grouped, Tie, distance, farthest, ties_of
from compressor.methods.csgd.tracks import alike, pacesetter, require_exact, require_trained, shares
from compressor.methods.proving import proof_of
from compressor.methods.ranking import Batches, Planned, comparable, group_views, notes_on, ranked
from compressor.rates import PruneRequest
from compressor.rates.allocate import allocate
from compressor.steps.channels import ChangeChannels
from compressor.steps.choice import Choice
from compressor.steps.decisions import GroupDecision
from compressor.steps.plan import PrunePlan, cut
from compressor.steps.shrink import ORACLE_LIMIT, outputs_of, relative_difference, run_shrunk
from compressor.zoo import Architecture

__all__ = ["Clustered", "Csgd", "clusters", "update_matrices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustered:
    """What is to become one.

    Attributes:
        arch: what is pruned.
        graph: the traced model.
        decisions: how many units each group keeps.
        clusters: group index -> clusters of its units, of groups that lose any; the first unit survives.
    """

    arch: Architecture
    graph: ChannelGraph
    decisions: tuple[GroupDecision, ...]
    clusters: Mapping[int, Grouped]

    @property
    def ties(self) -> tuple[Tie, ...]:
        """What must become equal for that."""
        return ties_of(self.graph, self.clusters)

    def choices(self) -> dict[int, Choice]:
        """Return what survives in each group, and what the others merge into."""
        return {index: _merged(found) for index, found in self.clusters.items()}


def _merged(found: Grouped) -> Choice:
    into = np.empty(sum(map(len, found)), dtype=np.int64)
    for cluster in found:
        into[list(cluster)] = cluster[0]
    return Choice(keep=np.array(sorted(cluster[0] for cluster in found)), into=into)


@dataclass(frozen=True, slots=True)
class Csgd:
    """Centripetal SGD.

    Attributes:
        clusters: ``kmeans`` (published), ``even``, ``imbalanced`` or ``magnitude``.
        strength: of the force that draws filters together, the paper's epsilon; 0.003 suits runs of hundreds
            of epochs, short ones need more.
        vectors: share of the strength for biases and norms.
        bias_lr: what biases learn faster by.
        loss: the largest difference that trimming may make, relative to the largest output; up to the proof's
            own limit it counts as none.
        seed: of k-means.

    Raises:
        UsageError: there is no such kind of clusters, or a number is negative or not finite.
    """

    clusters: str = "kmeans"
    strength: float = 3e-3
    vectors: float = 0.1
    bias_lr: float = 2.0
    loss: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.clusters not in KINDS:
            raise unknown_name("kind of clusters", self.clusters, list(KINDS))
        for name in ("strength", "vectors", "bias_lr", "loss"):
            value = getattr(self, name)
            if not value >= 0 or not math.isfinite(value):
                raise UsageError(f"option {name} of csgd is {value}", "give a number from 0 up.")

    @property
    def looks(self) -> bool:
        """Whether it needs training images to start: it does not, only for the training after that."""
        return False

    @property
    def trains(self) -> bool:
        """Whether it trains before the cut."""
        return True

    def start(self, artifact: Artifact, request: PruneRequest, batches: Batches | None) -> Clustered:
        """Trace, allocate, and put the units of every group that loses some into clusters.

        Raises:
            CompressError: tracing or the request failed, weights are not finite, or cannot be trained.
        """
        model, arch = artifact.module, artifact.arch
        graph = trace(artifact.view, arch.example())
        views = group_views(model, graph, L1())
        importance = comparable(L1(), ranked(L1(), views))
        allocation = allocate(graph, request, importance, arch.layouts, arch.name)
        found: dict[int, Grouped] = {}
        for index, view in views.items():  # in order of execution: shortcuts carry what was decided before
            if (count := int(allocation.kept[index])) < view.size:
                sets = alike(model, graph, index, found)
                found[index] = self._clusters(view, pacesetter(graph, index), sets, count)
        if self.loss <= ORACLE_LIMIT:
            require_exact(graph, found)
        state = Clustered(arch=arch, graph=graph, decisions=allocation.decisions, clusters=found)
        require_trained(model, graph, state.ties, found)
        return state

    def prepare(self, model: nn.Module, state: Clustered) -> nn.Module:
        """Return the model itself."""
        return model

    def constraint(self, state: Clustered) -> Centripetal:
        """Return the force that draws each cluster together."""
        force = Force(strength=self.strength, vectors=self.vectors, bias_lr=self.bias_lr)
        return Centripetal(state.ties, force)

    def finish(self, model: nn.Module, state: Clustered) -> Planned:
        """Return the plan that trims every cluster to one unit.

        Raises:
            ParityError: trimming would change what the model computes by more than is allowed.
            OracleError: the trimmed model does not compute what its mask does.
        """
        choices, view = state.choices(), state.arch.view(model)
        step = cut(state.graph, choices, state.decisions)
        lost = _loss(view, step, state.arch)
        if lost > ORACLE_LIMIT and lost > self.loss:
            raise _apart(model, state, lost)
        notes = notes_on(state.graph, choices)
        if lost <= ORACLE_LIMIT:
            step = replace(step, lossless=True)
        else:
            notes = (*notes, f"trimmed with a loss: {_words(model, state, lost)}")
        plan = PrunePlan(arch=state.arch.name, steps=(step,), notes=notes)
        proof = proof_of(view, plan, state.arch.example(), state.graph, choices)
        return Planned(plan=plan, graph=state.graph, oracle=proof)

    def _clusters(self, view: GroupView, leader: str, sets: list[list[int]], count: int) -> Grouped:
        """Return clusters of units by the rows of one weight, none with units of two sets."""
        rows = next(m.rows for m in view.members if m.tensor == leader and m.role != "consumer")
        found: list[tuple[int, ...]] = []
        for units, share in zip(sets, shares(sets, count, view.name), strict=True):
            inside = clusters(rows[units], share, self.clusters, self.seed)
            found += [tuple(units[i] for i in cluster) for cluster in inside]
        return tuple(sorted(found))


def _loss(model: nn.Module, step: ChangeChannels, arch: Architecture) -> float:
    """Return what trimming changes, relative to the largest output."""
    inputs, plan = arch.example(), PrunePlan(arch=arch.name, steps=(step,))
    return relative_difference(outputs_of(copy.deepcopy(model), inputs), run_shrunk(model, plan, inputs))


def _words(model: nn.Module, state: Clustered, lost: float) -> str:
    ties = state.ties
    name, far = farthest(model, ties)
    return (
        f"the trimmed {state.arch.name} differs from the untrimmed one by {lost:.1e} "
        f"(limit {ORACLE_LIMIT:.0e}), since filters are {distance(model, ties):.1e} of their length from the "
        f"means of their clusters, {name} {far:.1e}"
    )


def _apart(model: nn.Module, state: Clustered, lost: float) -> ParityError:
    if not all(bool(tensor.isfinite().all()) for tensor in named_tensors(model).values()):
        return ParityError("the weights hold NaN or infinity", "check the checkpoint.")
    return ParityError(
        f"filters have not collapsed: {_words(model, state, lost)}",
        "train before the cut (--data, --epochs), longer, or with a stronger force (--option strength=...); "
        f"or accept the loss: --option loss={lost * 1.1:.2g}, which goes on from the trained weights.",
    )


@METHODS.register("csgd")
def csgd(options: Mapping[str, object], seed: int) -> Csgd:
    """Return the method with its options.

    Raises:
        UsageError: an option does not exist or has a wrong value.
    """
    return with_options(Csgd, "csgd", options, seed)
