"""What a training run depends on, and recipes as TOML files: one ``key = value`` per field, all optional."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compressor.base.documents import read_toml
from compressor.base.errors import UsageError
from compressor.base.options import from_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training run depends on, apart from the model and the data.

    Attributes:
        epochs: passes over the training split.
        batch_size: images per optimiser step over all workers and accumulation steps.
        accumulate: micro-batches per optimiser step.
        lr: peak learning rate.
        schedule: ``cosine`` (to zero) or ``step`` (times ``gamma`` at each milestone).
        milestones: epochs of the step schedule.
        gamma: factor of the step schedule.
        warmup_epochs: linear warm-up from zero, may be fractional.
        momentum: SGD momentum; Nesterov's form where ``nesterov``.
        weight_decay: L2 penalty on every parameter.
        label_smoothing: mass spread over the other classes.
        ema: decay of the averaged weights per step; 0 switches it off.
        distill: weight of the distillation loss against the labels' (0..1); needs a teacher.
        temperature: softening of both distributions in the distillation loss.
        augment: random shift by 4 pixels and horizontal flip.
        flip: whether ``augment`` may flip; data sets whose images may not be mirrored overrule it.
        amp: mixed precision where the device has it.
        patience: epochs without a better validation accuracy before stopping; 0 never stops.
        seed: of everything random.
    """

    epochs: int = 10
    batch_size: int = 128
    accumulate: int = 1
    lr: float = 0.01
    schedule: Literal["cosine", "step"] = "cosine"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    ema: float = 0.0
    distill: float = 0.0
    temperature: float = 4.0
    augment: bool = True
    flip: bool = True
    amp: bool = False
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "lr", "temperature", "gamma"):
            value = getattr(self, name)
            if not value > 0 or not math.isfinite(value):
                raise UsageError(f"recipe: {name} is {value}", f"give {name} a positive number")
        for name in ("epochs", "warmup_epochs", "weight_decay", "patience", "seed"):
            value = getattr(self, name)
            if not value >= 0 or not math.isfinite(value):
                raise UsageError(f"recipe: {name} is {value}", f"give {name} a number from 0 up")
        if self.seed >= 2**63:
            raise UsageError(f"recipe: seed is {self.seed}", "give seed a number below 2**63")
        for name in ("momentum", "label_smoothing", "ema", "distill"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"recipe: {name} is {value}", f"give {name} a number from 0 to 1")


def recipe_from_toml(path: Path) -> Recipe:
    """Return the recipe in the file ``path``.

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown (close ones are suggested), or a value
            has the wrong type or is out of range.
    """
    return recipe_from_table(read_toml(path, "give a TOML file of recipe fields"), where=str(path))


def recipe_from_table(table: Mapping[str, object], *, where: str) -> Recipe:
    """Return the recipe in a parsed TOML table; ``where`` names its origin in errors.

    Raises:
        UsageError: as for ``recipe_from_toml``.
    """
    return from_table(Recipe, table, where, "recipe field")
