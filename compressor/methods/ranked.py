"""Ranking by one criterion and cutting at once: L1, CORING, HRank and their like."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from torch import nn

from compressor.artifact import Artifact
from compressor.base.pace import Say, unheard
from compressor.criteria import Criterion, criterion_of
from compressor.methods.ranking import Batches, Planned, Ranking, make_plan, plan_by, ranking_of
from compressor.rates import PruneRequest
from compressor.training.constraints import FREE, Constraint


@dataclass(frozen=True, slots=True)
class Ranked:
    """The method of every criterion: nothing is trained before the cut.

    Attributes:
        criterion: what ranks the units.
        ranking: of the model that will be pruned, where it was made before: cuts of one model share it.
        say: called with a line for people, every ten seconds of planning.
    """

    criterion: Criterion
    ranking: Ranking | None = None
    say: Say = unheard

    @classmethod
    def by(cls, name: str, options: Mapping[str, object], seed: int) -> Self:
        """Return the method that ranks by the criterion called ``name``.

        Raises:
            UsageError: there is none, or an option does not fit it.
        """
        return cls(criterion_of(name, options, seed))

    @property
    def looks(self) -> bool:
        """Whether the criterion needs statistics of training images."""
        return bool(self.criterion.needs)

    @property
    def trains(self) -> bool:
        """Whether it trains before the cut: never."""
        return False

    def start(self, artifact: Artifact, request: PruneRequest, batches: Batches | None) -> Planned:
        """Trace, rank, allocate and prove; see `compressor.methods.ranking.make_plan`."""
        model, arch = artifact.module, artifact.arch
        if self.ranking is not None:
            return plan_by(self.ranking, model, arch, request, self.criterion, self.say)
        return make_plan(model, arch, request, self.criterion, batches)

    def having_ranked(
        self, artifact: Artifact, batches: Batches | None, *, worth: bool, say: Say = unheard
    ) -> Self:
        """Return the method with the ranking of one model, for that model alone.

        Raises:
            CompressError: tracing or the criterion failed.
        """
        made = ranking_of(artifact.module, artifact.arch, self.criterion, batches, worth=worth, say=say)
        return replace(self, ranking=made, say=say)

    def prepare(self, model: nn.Module, state: Planned) -> nn.Module:
        """Return the model itself."""
        return model

    def constraint(self, state: Planned) -> Constraint:
        """Return no constraint: nothing is trained before the cut."""
        return FREE

    def finish(self, model: nn.Module, state: Planned) -> Planned:
        """Return the plan that was made at the start."""
        return state
