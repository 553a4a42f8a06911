"""Fine-tuning: epochs of training, the best one kept, a checkpoint after each."""

import dataclasses
import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from compressor.base import distributed
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.modes import evaluation
from compressor.base.text import foreign
from compressor.data import DataSplits
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import TASKS
from compressor.training.checkpoint import Identity, RunFolder
from compressor.training.constraints import FREE, Constraint
from compressor.training.progress import progress_bar
from compressor.training.records import EpochRecord, TrainResult, best_epoch, finished
from compressor.training.trainer import Trainer

_LOG = logging.getLogger(__name__)


def fine_tune(  # noqa: PLR0913  # the one way to train: all of it by name
    model: nn.Module,
    data: DataSplits,
    recipe: Recipe,
    *,
    run_dir: Path | None = None,
    teacher: nn.Module | None = None,
    device: torch.device | None = None,
    constraint: Constraint = FREE,
    resume: bool = False,
) -> TrainResult:
    """Train ``model`` in place and leave it, in evaluation mode, with the weights of the best epoch.

    The best epoch is the one with the highest validation score; the averaged weights are the ones that count
    where ``recipe.ema`` is positive. Where ``data.val`` is empty (`DataSplits.unvalidated`), nothing is
    validated and the last epoch counts. On one CPU, a resumed run has the same bits as an uninterrupted one.
    Inside ``init_from_env`` it is data-parallel, and may resume on more or fewer workers.

    Args:
        model: fits the data's task: a classifier returns logits of shape (n, classes).
        data: what to learn from, and the split that chooses the epoch. ``data.test`` is not touched.
        recipe: everything else that matters.
        run_dir: where ``checkpoint.pt`` and ``log.jsonl`` go; None keeps nothing.
        teacher: model to distil from if ``recipe.distill`` is positive; it is not changed.
        device: where to compute; None means the CPU.
        constraint: acts on gradients and weights in every step.
        resume: continue from ``run_dir``'s checkpoint if there is one; False starts afresh and replaces it.

    Raises:
        UsageError: recipe, teacher and workers do not fit together, the checkpoint is of another run, or
            another process trains in ``run_dir``.
        ArtifactError: the checkpoint is damaged.
        CompressError: the loss became infinite or not a number.
    """
    _check(data, recipe, teacher)
    if recipe.epochs == 0:
        return TrainResult(best_epoch=0, history=())
    device = device or torch.device("cpu")
    TASKS.get(data.task).data.check(model, data)
    folder = RunFolder(path=run_dir, identity=Identity.of(model, recipe, data, constraint))
    with folder.owned(), evaluation(teacher) if teacher else nullcontext():
        trainer = Trainer(model, data, recipe, teacher, device, constraint)
        history, best = _run(trainer, recipe, folder, resume=resume)
    model.load_state_dict(best)
    return TrainResult(best_epoch=best_epoch(history), history=tuple(history))


def _run(
    trainer: Trainer, recipe: Recipe, folder: RunFolder, *, resume: bool
) -> tuple[list[EpochRecord], dict[str, Tensor]]:
    """Return all epochs' records and the weights of the best one."""
    history, best = _resumed(trainer, folder) if resume else ([], {})
    folder.start_log(history)
    with progress_bar(recipe.epochs, trainer.steps) as bar:
        while not finished(history, recipe):
            last = history[-1].measures if history else {}
            record = trainer.run_epoch(len(history) + 1, partial(bar, measures=last))
            history.append(record)
            if best_epoch(history) == record.epoch:
                best = _snapshot(trainer.candidate)
            records = [dataclasses.asdict(past) for past in history]
            folder.save({"trainer": trainer.state(), "best": best, "history": records})
            folder.log(record)
            _say("epoch %d/%d: %s", record.epoch, recipe.epochs, record.describe())
    trainer.close()
    return history, best


def _resumed(trainer: Trainer, folder: RunFolder) -> tuple[list[EpochRecord], dict[str, Tensor]]:
    state = folder.load()
    if state is None:
        _say("nothing to resume in %s: starting with epoch 1", folder.path)
        return [], {}
    try:
        trainer.restore(state["trainer"])
        history = [EpochRecord(**record) for record in state["history"]]
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ArtifactError(
            f"the checkpoint in {folder.path} does not fit this run: {foreign(error)}",
            "delete it to start again",
        ) from error
    _say("resuming after epoch %d", len(history))
    return history, state["best"]


def _check(data: DataSplits, recipe: Recipe, teacher: nn.Module | None) -> None:
    if (teacher is None) != (recipe.distill == 0):
        given = "no teacher" if teacher is None else "a teacher"
        raise UsageError(
            f"there is {given}, but the recipe's distill is {recipe.distill:g}",
            "distill above 0 and a teacher go together",
        )
    batch, world = min(recipe.batch_size, len(data.train)), distributed.world()
    if batch < world:
        raise UsageError(
            f"a batch of {batch} images cannot be shared by {world} workers",
            "raise batch_size or start fewer workers",
        )


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _say(message: str, *values: object) -> None:
    """Log on one worker what all of them would say."""
    if distributed.rank() == 0:
        _LOG.info(message, *values)
