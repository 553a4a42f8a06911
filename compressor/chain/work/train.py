"""Fine-tuning as a stage."""

import copy
from dataclasses import dataclass, replace

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.training import fine_tune


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Fine-tuning.

    Attributes:
        recipe: how.
    """

    recipe: Recipe

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> Artifact:
        """Return a trained copy, scored on the validation split; its checkpoints lie beside the output."""
        data, run_dir = job.data, job.store.checkpoints(stage.name)
        where = f"; checkpoints in {run_dir}" if run_dir else ""
        job.say(f"{stage.name} for {self.recipe.epochs} epochs{where}")
        model = copy.deepcopy(artifact.module)
        teacher = job.teacher() if self.recipe.distill else None
        result = fine_tune(
            model, data, self.recipe, run_dir=run_dir, teacher=teacher, device=job.device, resume=True
        )
        job.trained(result)
        papers = replace(artifact.manifest, recipe=self.recipe)
        trained = replace(artifact, module=model, manifest=papers)
        return trained.scored(Moment("val", "fine-tuned"), job.score(trained, data.val), data.spec)
