"""What there is to do, in order, as data."""

from collections.abc import Iterable
from dataclasses import fields, replace
from math import ceil

from compressor.chain.settings import ExpectTable, Pipeline, PruneTable, RepairTable
from compressor.chain.work import Stage
from compressor.chain.work.evaluate import Evaluate
from compressor.chain.work.export import Export
from compressor.chain.work.latency import LatencyPrune
from compressor.chain.work.prune import Prune
from compressor.chain.work.repair import Repair
from compressor.chain.work.train import Train
from compressor.chain.work.trained import TrainedPrune
from compressor.rates.shots import Shot
from compressor.rates.turns import Turn
from compressor.tasks.recipe import Recipe


def stages_of(pipeline: Pipeline) -> tuple[Stage, ...]:
    """Return the stages of a recipe file, first to last.

    With K shots there are K pairs of pruning and ceil(calibration_epochs / K) epochs of training before the
    long fine-tuning; with turns, one pair each. A method that trains before it cuts spends the epochs of each
    pair there, and those of the fine-tuning too where there is one shot.
    """
    exported = [Stage(name="export", output="model.onnx", work=Export())] if pipeline.export.onnx else []
    return _chained([*_scored(_shots(pipeline), pipeline.training), *exported])


def stages_of_prune(
    table: PruneTable, seed: int, recipe: Recipe | None, data: str | None, repair: RepairTable | None = None
) -> tuple[Stage, ...]:
    """Return the stages of ``compress prune``: a cut; where there are images, repair, training, scores."""
    recipe = recipe or Recipe(epochs=0)
    cut = Stage(name="prune", output="pruned", work=trained_before(cut_of(table, seed), recipe))
    repaired = [_repair(repair, "repair", "repaired", "", seed)] if repair else []
    return _chained(_scored([cut, *repaired], recipe) if data else [cut])


def stages_of_repair(table: RepairTable, seed: int, small: str) -> tuple[Stage, ...]:
    """Return the stages of ``compress repair``: a chain that starts from the dense model.

    Args:
        table: how.
        seed: of the images that are drawn.
        small: what the pruned model is stored as.
    """
    repair = replace(_repair(table, "repair", "repaired", "", seed), parent=small)
    moments = (("dense", ""), ("pruned", small), ("repaired", repair.name))
    scores = Stage(name="eval", output="model", work=Evaluate(moments=moments), parent=repair.name)
    return repair, scores


def stages_of_finetune(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the stages of ``compress finetune``: training, and scores before and after."""
    scores = Evaluate(moments=(("before", ""), ("fine-tuned", "finetune")))
    return _chained([_training(recipe), Stage(name="eval", output="model", work=scores)])


def _chained(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Let every stage start from what the one before it makes."""
    found: list[Stage] = []
    for stage in stages:
        found.append(replace(stage, parent=found[-1].name if found else ""))
    return tuple(found)


def _shots(pipeline: Pipeline) -> list[Stage]:
    total, seed = pipeline.prune.shots, pipeline.training.seed
    whole = cut_of(pipeline.prune, seed, pipeline.expect)
    if pipeline.prune.turns:
        return _turns(pipeline, whole)
    if total == 1:
        repaired = [_repair(pipeline.repair, "repair", "repaired", "", seed)] if pipeline.repair else []
        work = trained_before(whole, pipeline.training)
        return [Stage(name="prune", output="pruned", work=work), *repaired]
    between = Train(recipe=replace(pipeline.training, epochs=ceil(pipeline.prune.calibration_epochs / total)))
    found = []
    for number in range(1, total + 1):
        shot = trained_before(replace(whole, shot=Shot(number=number, total=total)), between.recipe)
        found.append(Stage(name=f"prune {number}/{total}", output=f"pruned-{number}", work=shot))
        if pipeline.repair:
            before = f"train {number - 1}/{total}" if number > 1 else ""
            name = f"repair {number}/{total}"
            found.append(_repair(pipeline.repair, name, f"repaired-{number}", before, seed))
        if not isinstance(shot, TrainedPrune):
            found.append(Stage(name=f"train {number}/{total}", output=f"trained-{number}", work=between))
    return found


def _turns(pipeline: Pipeline, whole: Prune) -> list[Stage]:
    patterns, found = pipeline.prune.turns, list[Stage]()
    for number in range(1, len(patterns) + 1):
        name, turn = f"{number}/{len(patterns)}", Turn(number=number, patterns=patterns)
        before = found[-1].name if found else ""
        cut = replace(whole, turn=turn)
        found.append(Stage(name=f"prune {name}", output=f"pruned-{number}", work=cut))
        if pipeline.repair:
            seed = pipeline.training.seed
            found.append(_repair(pipeline.repair, f"repair {name}", f"repaired-{number}", before, seed))
        if pipeline.between.epochs:
            between = Train(recipe=pipeline.between)
            found.append(Stage(name=f"train {name}", output=f"trained-{number}", work=between))
    return found


def cut_of(table: PruneTable, seed: int, expect: ExpectTable | None = None) -> Prune:
    """Return the cut that a table asks for."""
    expect = expect or ExpectTable()
    if table.latency is not None:
        return LatencyPrune(table=table, seed=seed, expect=expect, aim=table.latency)
    return Prune(table=table, seed=seed, expect=expect)


def trained_before(work: Prune, recipe: Recipe) -> Prune:
    """Return a cut with training before it, where its method wants that and there are epochs to do it in."""
    if not recipe.epochs or isinstance(work, LatencyPrune) or not work.method().trains:
        return work
    known = {field.name: getattr(work, field.name) for field in fields(work)}
    return TrainedPrune(**known, recipe=recipe)


def _scored(cut: list[Stage], recipe: Recipe) -> list[Stage]:
    """Return a cut and its repair, the fine-tuning where there is any, and the scores of every moment."""
    cuts = [stage.work for stage in cut if isinstance(stage.work, Prune)]
    before = len(cuts) == 1 and isinstance(cuts[0], TrainedPrune)
    stages = [*cut, *([_training(recipe)] if recipe.epochs and not before else [])]
    pruned = [stage.name for stage in stages if isinstance(stage.work, Prune)]
    trained = [stage.name for stage in stages if isinstance(stage.work, Train)]
    repaired = [stage.name for stage in stages if isinstance(stage.work, Repair)]
    later = [("repaired", name) for name in repaired[-1:]] + [("fine-tuned", name) for name in trained[-1:]]
    moments = (("dense", ""), ("pruned", pruned[-1]), *later)
    return [*stages, Stage(name="eval", output="model", work=Evaluate(moments=moments))]


def _repair(table: RepairTable, name: str, output: str, dense: str, seed: int) -> Stage:
    return Stage(name=name, output=output, work=Repair(table=table, dense=dense, seed=seed))


def _training(recipe: Recipe) -> Stage:
    return Stage(name="finetune", output="tuned", work=Train(recipe=recipe))
