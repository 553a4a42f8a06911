"""One shot of pruning: from a model and the settings to a smaller model."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.chain.job import Job
from compressor.chain.settings import ExpectTable, PruneTable
from compressor.chain.work import Stage
from compressor.chain.work.settle import settled
from compressor.channels import ChannelGraph, trace
from compressor.channels.cost import Cost
from compressor.methods import Method, Training, method_of, prune, rehearsed, untrained
from compressor.methods.ranked import Ranked
from compressor.methods.ranking import Batches
from compressor.rates import PruneRequest, Published, Target
from compressor.rates.prices import PRICES, whole_price
from compressor.rates.shots import ONLY, Paid, Shot, ShotLayout, dense_widths, request_of_shot
from compressor.rates.turns import Turn, request_of_turn
from compressor.tasks import task
from compressor.zoo import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Pruning.

    Attributes:
        table: how, and how much.
        seed: of methods that draw at random.
        shot: which of how many.
        turn: which of how many; None where all layers are cut at once.
        expect: what the whole cut must leave.
    """

    table: PruneTable
    seed: int = 0
    shot: Shot = ONLY
    turn: Turn | None = None
    expect: ExpectTable = field(default_factory=ExpectTable)

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> Artifact:
        """Return the smaller model.

        Raises:
            UsageError: the request makes no sense, or the whole cut does not cost what is expected.
        """
        if self.table.turns and self.turn is None:
            raise UsageError("turns train in between, and one cut does not", "go through them: compress run.")
        return self.cut(job, artifact, untrained)

    def rehearse(self, job: Job, artifact: Artifact) -> Artifact:
        """Return a model of the widths that the stage makes, without any training."""
        return self.cut(job, artifact, rehearsed)

    def cut(self, job: Job, artifact: Artifact, training: Training) -> Artifact:
        """Return the smaller model, with ``training`` between the method's start and the cut.

        Raises:
            UsageError: the request makes no sense, or the whole cut does not cost what is expected.
        """
        arch = artifact.arch
        request = self.table.request(outside=arch.outside(self.table.parts))
        asked = request_of_shot(request, self.shot, lambda price: _paid(price, artifact))
        asked = replace(asked, target=_read_by(arch, self.shot, asked.target))
        if self.turn is not None:
            asked = request_of_turn(asked, self.turn, trace(artifact.view, artifact.example()))
        method, batches, data = self.looked(job, artifact, asked)
        words = self.table.describe()
        small = prune(artifact, asked, method, batches, words=words, data=data, training=training)
        return self.ended(job, artifact, small)

    def looked(
        self, job: Job, artifact: Artifact, request: PruneRequest
    ) -> tuple[Method[Any], Batches | None, str]:
        """Return the method, the images that it has still to see, and their name.

        A ranking is made here, once for all cuts.

        Raises:
            CompressError: tracing or the criterion failed.
        """
        method: Method[Any] = self.method()
        images, data = images_for(job, method, request)
        if isinstance(method, Ranked):
            worth = request.scope == "worth"
            return method.having_ranked(artifact, images, worth=worth, say=job.say), None, data
        return method, images, data

    def ended(self, job: Job, artifact: Artifact, small: Artifact) -> Artifact:
        """Return what a cut leaves: of the expected cost, and with merging undone where that is better.

        Raises:
            UsageError: the whole cut does not cost what is expected.
        """
        if self._last:
            _check_cost(self.expect, small.manifest.cost_after)
        return settled(job, artifact, small) if self.table.undo else small

    @property
    def _last(self) -> bool:
        turns = self.turn is None or self.turn.number == len(self.turn.patterns)
        return turns and self.shot.number == self.shot.total

    def method(self) -> Method[object]:
        """Return the method with its options.

        Raises:
            UsageError: there is no such method or option.
        """
        return method_of(self.table.method, self.table.options, self.seed)


def images_for(job: Job, method: Method[object], request: PruneRequest) -> tuple[Batches | None, str]:
    """Return the training images that a method looks at, and the name of their data set.

    Where widths are bought by their worth, it is measured on images what each changes.
    """
    if job.spec is None or not (method.looks or request.scope == "worth"):
        return None, ""
    return task.calibration(job.data), job.spec


def _read_by(arch: Architecture, shot: Shot, target: Target) -> Target:
    """Return the target of one shot, whose published rates are read against the dense widths."""
    if shot.total == 1 or not isinstance(target, Published):
        return target
    widths = dense_widths(_traced(arch))
    return replace(target, read=lambda layout: ShotLayout(layout, shot.divisor, widths))


def _paid(name: str, artifact: Artifact) -> Paid:
    """Return what the dense model and an artifact cost in a price."""
    price = PRICES.get(name)
    now = trace(artifact.view, artifact.example())
    return Paid(dense=whole_price(price, _traced(artifact.arch)), now=whole_price(price, now))


def _traced(arch: Architecture) -> ChannelGraph:
    """Return the graph of a dense model."""
    with torch.random.fork_rng(devices=[]):  # building draws weights
        return trace(arch.view(arch.build()), arch.example())


def _check_cost(expect: ExpectTable, cost: Cost) -> None:
    for name, wanted in (("params", expect.params), ("macs", expect.macs)):
        found = getattr(cost, name)
        if wanted is not None and found != wanted:
            raise UsageError(
                f"[expect] {name} is {wanted:,}, but the pruned model has {found:,}",
                "correct it, or leave [expect] out where the rates were changed.",
            )
