"""Models and their data: the only module here that asks the architecture's task.

Opening, costing, scoring and calibrating differ between classifiers and detectors; whatever differs is here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.artifact import Manifest, unpruned
from compressor.cost import measure
from compressor.data import DataSplits, ImageSet
from compressor.errors import UsageError
from compressor.pipeline.settings import Pipeline
from compressor.scores import Score
from compressor.tasks import task
from compressor.tasks.task import TASKS
from compressor.types import Cost
from compressor.weights import built
from compressor.zoo import Architecture, find


def dense(pipeline: Pipeline) -> tuple[nn.Module, Manifest]:
    """Return the model before anything was done to it, in evaluation mode, and what it is.

    Raises:
        UsageError: there is no such architecture, or the checkpoint does not fit it.
    """
    table = pipeline.model
    weights = Path(table.weights) if table.weights else None
    options: dict[str, Any] = {} if table.classes is None else {"num_classes": table.classes}
    torch.manual_seed(pipeline.training.seed)
    shapes = (table.input,) if table.input else None
    model, arch, words = built(find(table.arch), weights, options, shapes)
    return model, unpruned(model, arch, weights_from=words, method="")


def data_spec(pipeline: Pipeline) -> str:
    """Return the name of the data set.

    Raises:
        UsageError: there is none.
    """
    if pipeline.data is None:
        raise UsageError("this needs images", "give --data, for instance --data digits.")
    return pipeline.data.spec


def splits(pipeline: Pipeline, arch: Architecture, model: nn.Module) -> DataSplits:
    """Open the data set for a model.

    Raises:
        UsageError: there is no such data set, or it does not fit the model.
    """
    return TASKS.get(arch.task).data.open(data_spec(pipeline), arch.input, model)


def calibration(pipeline: Pipeline, arch: Architecture, model: nn.Module) -> Iterator[Any]:
    """Return a few batches of training images for criteria that need data."""
    return task.calibration(splits(pipeline, arch, model))


def cost_of(model: nn.Module, arch: Architecture) -> Cost:
    """Return what a model costs for one image."""
    return measure(arch.view(model), arch.example())


def score(model: nn.Module, arch: Architecture, images: ImageSet, device: torch.device) -> Score:
    """Return how well a model does."""
    return TASKS.get(arch.task).scoring.score(model, images, device=device)


def check_data(pipeline: Pipeline, arch: Architecture, model: nn.Module) -> None:
    """Refuse data that the model cannot learn from.

    Raises:
        UsageError: for instance there are more classes than outputs.
    """
    TASKS.get(arch.task).data.check(model, splits(pipeline, arch, model))
