"""Pruning by a method that trains before it cuts."""

from dataclasses import dataclass, replace

from torch import nn

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage
from compressor.chain.work.prune import Prune
from compressor.chain.work.train import kept_in, trained_copy
from compressor.tasks.recipe import Recipe
from compressor.training.constraints import Constraint


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPrune(Prune):
    """Pruning after training under the method's constraint.

    Attributes:
        recipe: of that training. Its last epoch counts, not the one with the best validation score: what is
            cut is what the weights have become at the end.
    """

    recipe: Recipe

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> Artifact:
        """Return the smaller model; checkpoints of its training lie beside the output.

        Raises:
            UsageError: the request makes no sense, or the whole cut does not cost what is expected.
            CompressError: the training failed, or did not do what the cut needs.
        """

        def trained(model: nn.Module, constraint: Constraint) -> nn.Module:
            words = f"{stage.name}: training for {self.recipe.epochs} epochs before the cut"
            job.say(f"{words}{kept_in(job, stage)}")
            data = job.data.unvalidated()
            return trained_copy(job, stage, model, data, self.recipe, constraint).cpu()

        small = self.cut(job, artifact, trained)
        return replace(small, manifest=replace(small.manifest, recipe=self.recipe, data=job.data.spec))
