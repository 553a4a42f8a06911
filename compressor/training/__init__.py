"""Fine-tuning: one loop for every task, driven by a frozen ``Recipe``.

The same loop runs alone or data-parallel under ``torchrun``, is resumed after any interruption, and ends with
the weights of the best epoch.
"""

from compressor.base.distributed import init_from_env
from compressor.tasks.accuracy import evaluate
from compressor.training.constraints import FREE, Constraint, Free, ParameterGroup
from compressor.training.ema import AveragedWeights
from compressor.training.loop import fine_tune
from compressor.training.records import EpochRecord, TrainResult
from compressor.training.schedule import lr_at

__all__ = [
    "FREE",
    "AveragedWeights",
    "Constraint",
    "EpochRecord",
    "Free",
    "ParameterGroup",
    "TrainResult",
    "evaluate",
    "fine_tune",
    "init_from_env",
    "lr_at",
]
