"""Fine-tuning as a stage."""

import copy
from dataclasses import dataclass, replace

from torch import nn

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage
from compressor.data import DataSplits
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.training import fine_tune
from compressor.training.constraints import FREE, Constraint


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Fine-tuning.

    Attributes:
        recipe: how.
    """

    recipe: Recipe

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> Artifact:
        """Return a trained copy, scored on the validation split; its checkpoints lie beside the output."""
        data = job.data
        job.say(f"{stage.name} for {self.recipe.epochs} epochs{kept_in(job, stage)}")
        model = trained_copy(job, stage, artifact.module, data, self.recipe)
        papers = replace(artifact.manifest, recipe=self.recipe)
        trained = replace(artifact, module=model, manifest=papers)
        return trained.scored(Moment("val", "fine-tuned"), job.score(trained, data.val), data.spec)


def kept_in(job: Job, stage: Stage) -> str:
    """Return in words where a training keeps its checkpoints; nothing where it keeps none."""
    run_dir = job.store.checkpoints(stage.name)
    return f"; checkpoints in {run_dir}" if run_dir else ""


def trained_copy(
    job: Job,
    stage: Stage,
    model: nn.Module,
    data: DataSplits,
    recipe: Recipe,
    constraint: Constraint = FREE,
) -> nn.Module:
    """Return a trained copy of a model, where the job's device is; its checkpoints lie beside the output.

    Args:
        job: says where, and hears what came of it.
        stage: whose output it is for.
        model: left as it is.
        data: what it learns from.
        recipe: how.
        constraint: what acts on it meanwhile.

    Raises:
        CompressError: the training failed.
    """
    copied = copy.deepcopy(model)
    result = fine_tune(
        copied, data, recipe, run_dir=job.store.checkpoints(stage.name),
        teacher=job.taught_by() if recipe.distill else None, device=job.device, constraint=constraint,
        resume=True,
    )  # fmt: skip
    job.trained(result)
    return copied
