"""Fine-tuning and scoring classifiers: one loop, driven by a frozen ``Recipe``.

The same loop runs alone or data-parallel under ``torchrun``, is resumed after any interruption, and ends with
the weights of the best epoch.
"""

from compressor.training.classification import CLASSIFICATION
from compressor.training.constraints import FREE, Constraint, Free, ParameterGroup
from compressor.training.distributed import init_from_env
from compressor.training.ema import AveragedWeights
from compressor.training.loop import fine_tune
from compressor.training.recipe import recipe_from_table, recipe_from_toml, recipe_to_toml
from compressor.training.records import EpochRecord, TrainResult
from compressor.training.schedule import lr_at
from compressor.training.scoring import evaluate
from compressor.training.task import TASKS, Task

__all__ = [
    "CLASSIFICATION",
    "FREE",
    "TASKS",
    "AveragedWeights",
    "Constraint",
    "EpochRecord",
    "Free",
    "ParameterGroup",
    "Task",
    "TrainResult",
    "evaluate",
    "fine_tune",
    "init_from_env",
    "lr_at",
    "recipe_from_table",
    "recipe_from_toml",
    "recipe_to_toml",
]
