"""What a training run leaves behind, and the decisions that follow from it alone."""

from dataclasses import dataclass

from compressor.types import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of ``log.jsonl``.

    Attributes:
        epoch: counted from 1.
        lr: learning rate of the epoch's last step.
        train_loss: mean over the epoch's images, as minimised.
        val_quality: score on the validation split, percent: top-1, or average precision of a detector.
        val_loss: mean cross-entropy on the validation split; of a detector, 1 - quality / 100.
        seconds: duration including validation.
        images_per_s: images per second over all workers, training only.
    """

    epoch: int
    lr: float
    train_loss: float
    val_quality: float
    val_loss: float
    seconds: float
    images_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Outcome of a run; the model holds the weights of ``best_epoch``.

    Attributes:
        best_epoch: counted from 1; 0 where there was no epoch and the model is as it came.
        history: one record per epoch.
    """

    best_epoch: int
    history: tuple[EpochRecord, ...]


def best_epoch(history: list[EpochRecord]) -> int:
    """Return the epoch with the best validation quality, 0 if there is none; lower loss decides a draw."""
    best = max(history, key=lambda record: (record.val_quality, -record.val_loss), default=None)
    return best.epoch if best else 0


def finished(history: list[EpochRecord], recipe: Recipe) -> bool:
    """Return whether all epochs are done, or ``recipe.patience`` epochs went by without a better one."""
    if len(history) >= recipe.epochs:
        return True
    if not recipe.patience or not history:
        return False
    peak = max(history, key=lambda record: record.val_quality)  # the first of equals
    return len(history) - peak.epoch >= recipe.patience
