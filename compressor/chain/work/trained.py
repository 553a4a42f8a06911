"""Pruning by a method that trains before it cuts."""

import copy
from dataclasses import dataclass, replace

from torch import nn

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage
from compressor.chain.work.prune import Prune
from compressor.tasks.recipe import Recipe
from compressor.training import fine_tune
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
            return self._trained(job, stage, model, constraint)

        small = self.cut(job, artifact, trained)
        return replace(small, manifest=replace(small.manifest, recipe=self.recipe, data=job.data.spec))

    def _trained(self, job: Job, stage: Stage, model: nn.Module, constraint: Constraint) -> nn.Module:
        run_dir, recipe = job.store.checkpoints(stage.name), self.recipe
        where = f"; checkpoints in {run_dir}" if run_dir else ""
        job.say(f"{stage.name}: training for {recipe.epochs} epochs before the cut{where}")
        model, teacher = copy.deepcopy(model), job.teacher() if recipe.distill else None
        result = fine_tune(
            model, job.data.unvalidated(), recipe, run_dir=run_dir, teacher=teacher, device=job.device,
            constraint=constraint, resume=True,
        )  # fmt: skip
        job.trained(result)
        return model.cpu()
