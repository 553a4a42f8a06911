"""What a training run leaves behind, and the decisions that follow from it alone."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from compressor.base.documents import Json
from compressor.tasks.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of ``log.jsonl``.

    Attributes:
        epoch: counted from 1.
        lr: learning rate of the epoch's last step.
        train_loss: mean over the epoch's images, as minimised.
        val_quality: score on the validation split, percent: top-1, or average precision of a detector; None
            where there is no such split.
        val_loss: mean cross-entropy on the validation split; of a detector, 1 - quality / 100.
        seconds: duration including validation.
        images_per_s: images per second over all workers, training only.
        measures: what the constraint measured, by name.
    """

    epoch: int
    lr: float
    train_loss: float
    val_quality: float | None
    val_loss: float | None
    seconds: float
    images_per_s: float
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def standing(self) -> tuple[float, float]:
        """What epochs are compared by: quality, then the loss; the last is best where none was validated."""
        if self.val_quality is None or self.val_loss is None:
            return self.epoch, 0.0
        return self.val_quality, -self.val_loss

    def describe(self) -> str:
        """Return the figures in words."""
        judged = "" if self.val_quality is None else f"validation {self.val_quality:.2f} %, "
        words = f"loss {self.train_loss:.4f}, {judged}{self.images_per_s:.1f} images/s"
        return f"{words}{measured(self.measures)}"

    def document(self) -> Json:
        """Return the line as JSON, without ``measures`` where there are none."""
        fields = dataclasses.asdict(self)
        return fields if self.measures else {name: fields[name] for name in fields if name != "measures"}


def measured(measures: Mapping[str, float]) -> str:
    """Return what a constraint measured in words, to follow others."""
    return "".join(f", {name} {value:.4g}" for name, value in measures.items())


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
    """Return the epoch with the best validation quality, 0 if there is none; lower loss decides a draw.

    Without validation that is the last one.
    """
    best = max(history, key=lambda record: record.standing, default=None)
    return best.epoch if best else 0


def finished(history: list[EpochRecord], recipe: Recipe) -> bool:
    """Return whether all epochs are done, or ``recipe.patience`` epochs went by without a better one."""
    if len(history) >= recipe.epochs:
        return True
    if not recipe.patience or not history:
        return False
    peak = max(history, key=lambda record: record.standing[0])  # the first of equals
    return len(history) - peak.epoch >= recipe.patience
