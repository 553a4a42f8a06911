"""Methods: how a model becomes smaller, from the first look at it to the cut. One file each, found by name.

A method has a life, not only a ranking: it starts from an artifact and training images, may prepare the model
and constrain its training, and ends in a plan that was proved. A criterion by itself is the method that ranks
by it: ``--method l1``.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from torch import nn

from compressor.artifact import Artifact
from compressor.base.registry import Registry, unknown_name
from compressor.criteria import CRITERIA
from compressor.methods.ranked import Ranked
from compressor.methods.ranking import Batches, Planned
from compressor.rates import PruneRequest
from compressor.steps.shrink import shrink
from compressor.training.constraints import Constraint

S = TypeVar("S")


class Method(Protocol[S]):
    """One way to prune. ``S`` is what it remembers from its start: frozen and JSON-able."""

    @property
    def looks(self) -> bool:
        """Whether it needs training images to start."""

    @property
    def trains(self) -> bool:
        """Whether it is worth nothing without the training before the cut, under its constraint."""

    def start(self, artifact: Artifact, request: PruneRequest, batches: Batches | None) -> S:
        """Look at a model, which is not changed, and decide.

        Raises:
            CompressError: tracing, the request or its proof failed, or images are missing.
        """

    def prepare(self, model: nn.Module, state: S) -> nn.Module:
        """Return the model as it is trained before the cut; usually itself."""

    def constraint(self, state: S) -> Constraint:
        """Return what the training before the cut is subject to; `FREE` where there is none."""

    def finish(self, model: nn.Module, state: S) -> Planned:
        """Return the proved plan for the model as it is now."""


class Kind(Protocol):
    """What builds a method from its options and a seed."""

    def __call__(self, options: Mapping[str, object], seed: int) -> Method[Any]:
        """Return the method.

        Raises:
            UsageError: an option does not exist or has a wrong value.
        """


METHODS: Registry[Kind] = Registry("method", "compressor.methods")


def method_of(name: str, options: Mapping[str, object], seed: int) -> Method[Any]:
    """Return the method called ``name``; a criterion's name means ranking by it.

    Raises:
        UsageError: there is none, or an option does not fit it.
    """
    if name in METHODS:
        return METHODS.get(name)(options, seed)
    if name in CRITERIA:
        return Ranked.by(name, options, seed)
    raise unknown_name("criterion", name, known_methods())


def known_methods() -> list[str]:
    """Return every name that ``--method`` takes, sorted."""
    return sorted({*METHODS, *CRITERIA})


Training = Callable[[nn.Module, Constraint], nn.Module]
"""What happens to a model before the cut; returns it, or a copy, trained."""


def untrained(model: nn.Module, constraint: Constraint) -> nn.Module:
    """Return the model as it is."""
    return model


def rehearsed(model: nn.Module, constraint: Constraint) -> nn.Module:
    """Return a copy that is at once what training would make it as far as the constraint goes."""
    model = copy.deepcopy(model)
    constraint.fulfil(model)
    return model


def prune(
    artifact: Artifact,
    request: PruneRequest,
    method: Method[Any],
    batches: Batches | None = None,
    *,
    words: str,
    data: str = "",
    training: Training = untrained,
) -> Artifact:
    """Return what a method makes of an artifact; the argument is not changed.

    Args:
        artifact: what is pruned.
        request: how much of it.
        method: by what.
        batches: training images, where the method looks at any.
        words: the method and the request, for the papers.
        data: name of the data set that the images come from.
        training: what happens between the start and the cut.

    Raises:
        CompressError: tracing, the request, the training or the proof failed.
    """
    state = method.start(artifact, request, batches)
    model = training(method.prepare(artifact.module, state), method.constraint(state))
    planned = method.finish(model, state)
    return artifact.changed(shrink(model, planned.plan), planned.plan, planned.oracle, words, data)
