"""What each stage does, with the functions of the single commands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from compressor.artifact import Manifest, architecture_of, load_artifact, save_artifact
from compressor.criteria import criterion_of
from compressor.pipeline.cut import prune_shot
from compressor.pipeline.models import check_data, data_spec, dense, score, splits
from compressor.pipeline.settings import Pipeline
from compressor.pipeline.stages import Action, Stage
from compressor.scores import Score
from compressor.training import fine_tune
from compressor.zoo import Trust
from export.deploy import deploy


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A pipeline that is being run.

    Attributes:
        pipeline: what was asked for, data included.
        device: where training and scoring happen.
        outputs: stage name -> what it makes.
        say: called with a line for people.
    """

    pipeline: Pipeline
    device: torch.device
    outputs: Mapping[str, Path]
    say: Callable[[str], None]

    def opened(self, path: Path) -> tuple[nn.Module, Manifest]:
        """Load an artifact of this run; the recipe's own factory is trusted."""
        return load_artifact(path, trust=Trust.of([self.pipeline.model.arch]))


def perform(job: Job, stage: Stage) -> None:
    """Carry out one stage; its output exists afterwards.

    Raises:
        CompressError: whatever the single command would raise.
    """
    _ACTIONS[stage.action](job, stage)


def rehearse(pipeline: Pipeline) -> None:
    """Find the mistakes that would otherwise show after hours: in criterion, weights and data.

    Raises:
        UsageError: one of them does not exist or does not fit.
    """
    criterion_of(pipeline.prune.method, pipeline.prune.options, pipeline.training.seed)
    model, manifest = dense(pipeline)
    arch = architecture_of(manifest)
    check_data(pipeline, arch, model)


def _prune(job: Job, stage: Stage) -> None:
    model, manifest = job.opened(job.outputs[stage.parent]) if stage.parent else dense(job.pipeline)
    assert stage.shot is not None
    small, manifest, _ = prune_shot(job.pipeline, model, manifest, stage.shot)
    save_artifact(small, manifest, job.outputs[stage.name])


def _train(job: Job, stage: Stage) -> None:
    model, manifest = job.opened(job.outputs[stage.parent])
    arch, recipe = architecture_of(manifest), stage.recipe
    assert recipe is not None
    data = splits(job.pipeline, arch, model)
    teacher = dense(job.pipeline)[0] if recipe.distill else None
    output = job.outputs[stage.name]
    run_dir = output.with_name(f"{output.name}.run")
    fine_tune(model, data, recipe, run_dir=run_dir, teacher=teacher, device=job.device, resume=True)
    metrics = {**manifest.metrics, "val fine-tuned": score(model, arch, data.val, job.device)}
    if data.val_caution:
        job.say(f"note on val: {data.val_caution}")
    trained = replace(manifest, data=data_spec(job.pipeline), recipe=recipe, metrics=metrics)
    save_artifact(model.cpu(), trained, output)


def _evaluate(job: Job, stage: Stage) -> None:
    """Score dense, pruned and trained model on the test split, and keep the last with the figures."""
    model, manifest = job.opened(job.outputs[stage.parent])
    arch = architecture_of(manifest)
    test = splits(job.pipeline, arch, model).test
    metrics: dict[str, Score] = {"test dense": score(dense(job.pipeline)[0], arch, test, job.device)}
    if manifest.recipe is not None:
        pruned, _ = job.opened(_last_pruned(job))
        metrics["test pruned"] = score(pruned, arch, test, job.device)
    name = "test pruned" if manifest.recipe is None else "test fine-tuned"
    metrics[name] = score(model, arch, test, job.device)
    scored = replace(manifest, data=data_spec(job.pipeline), metrics={**manifest.metrics, **metrics})
    save_artifact(model.cpu(), scored, job.outputs[stage.name])


def _last_pruned(job: Job) -> Path:
    """Return the artifact as the last shot left it, before the training that follows."""
    return [path for name, path in job.outputs.items() if name.startswith("prune")][-1]


def _export(job: Job, stage: Stage) -> None:
    model, manifest = job.opened(job.outputs[stage.parent])
    deploy(model, manifest, job.outputs[stage.name])


_ACTIONS: dict[Action, Callable[[Job, Stage], None]] = {
    "prune": _prune,
    "train": _train,
    "eval": _evaluate,
    "export": _export,
}
