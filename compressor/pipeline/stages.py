"""What there is to do for a pipeline, in order, as data."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from compressor.pipeline.settings import Pipeline
from compressor.rates.shots import Shot
from compressor.tasks.recipe import Recipe

Action = Literal["prune", "train", "eval", "export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the chain.

    Attributes:
        name: unique within the chain.
        action: what is done.
        parent: name of the stage whose output it starts from; "" for the dense model.
        output: file or folder that it makes, within the run folder.
        shot: which shot, where ``action`` is prune.
        recipe: how, where ``action`` is train.
    """

    name: str
    action: Action
    parent: str
    output: str
    shot: Shot | None = None
    recipe: Recipe | None = None


def stages_of(pipeline: Pipeline) -> tuple[Stage, ...]:
    """Return the stages of a pipeline, first to last.

    With K shots there are K pairs of pruning and ceil(calibration_epochs / K) epochs of training before the
    long fine-tuning.
    """
    stages: list[Stage] = []
    parent = ""
    for stage in (*_shots(pipeline), *_finish(pipeline)):
        stages.append(replace(stage, parent=parent))
        parent = stage.name
    return tuple(stages)


def _shots(pipeline: Pipeline) -> list[Stage]:
    total = pipeline.prune.shots
    if total == 1:
        return [_stage("prune", "prune", "pruned", shot=Shot(number=1, total=1))]
    between = replace(pipeline.training, epochs=ceil(pipeline.prune.calibration_epochs / total))
    found = []
    for number in range(1, total + 1):
        shot = Shot(number=number, total=total)
        found.append(_stage(f"prune {number}/{total}", "prune", f"pruned-{number}", shot=shot))
        found.append(_stage(f"train {number}/{total}", "train", f"trained-{number}", recipe=between))
    return found


def _finish(pipeline: Pipeline) -> list[Stage]:
    found = []
    if pipeline.training.epochs:
        found.append(_stage("finetune", "train", "tuned", recipe=pipeline.training))
    found.append(_stage("eval", "eval", "model"))
    if pipeline.export.onnx:
        found.append(_stage("export", "export", "model.onnx"))
    return found


def _stage(
    name: str, action: Action, output: str, *, shot: Shot | None = None, recipe: Recipe | None = None
) -> Stage:
    return Stage(name=name, action=action, parent="", output=output, shot=shot, recipe=recipe)
