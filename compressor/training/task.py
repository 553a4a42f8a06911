"""What differs between kinds of models when they are trained and scored; the loop itself is the same.

A batch is whatever the task's data sets yield; only the task looks into it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compressor.data import DataSplits, ImageSet
from compressor.registry import Registry
from compressor.scores import Score
from compressor.types import InputSpec, Recipe

Batch = Any
Arrays = dict[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]


class Task(Protocol):
    """A kind of model: what it learns from, what it minimises, how well it does.

    Attributes:
        batch_size: images that a forward pass on a small machine takes at once.
        calibration_images: how many training images criteria look at, by whatever road.
        recipe: what trains by default.
        companion: Python file that decodes the outputs of exported files and is shipped beside them, or None.
    """

    batch_size: int
    calibration_images: int
    recipe: Recipe
    companion: Path | None

    def properties(self, model: nn.Module) -> dict[str, str]:
        """Return what a file exported from ``model`` must say, so that it can be scored without the model."""

    def remote(
        self, run: Run, names: Sequence[str], inputs: InputSpec, properties: Mapping[str, str]
    ) -> nn.Module:
        """Return an open session behind the face of a module, for ``open`` and ``score``.

        Args:
            run: computes named outputs from named inputs.
            names: of the inputs.
            inputs: what the file takes.
            properties: what it says.
        """

    def feeds(self, batch: Batch, inputs: InputSpec) -> tuple[NDArray[Any], ...]:
        """Return what an exported file is fed for these images, one array per input of ``inputs``."""

    def open(self, spec: str, inputs: InputSpec, model: nn.Module) -> DataSplits:
        """Open the data set ``spec`` for ``model``.

        Raises:
            UsageError: there is no such data set, or it does not fit the model.
        """

    def check(self, model: nn.Module, data: DataSplits) -> None:
        """Refuse a model that cannot learn from ``data``.

        Raises:
            UsageError: for instance it has fewer outputs than the data has classes.
        """

    def size(self, batch: Batch) -> int:
        """Return the number of images."""

    def pieces(self, batch: Batch, parts: int) -> list[Batch]:
        """Cut a batch into at most ``parts`` parts of at least one image each."""

    def run(self, model: nn.Module, batch: Batch) -> object:
        """Run ``model`` on the images as in deployment."""

    def teach(self, teacher: nn.Module, batch: Batch) -> object:
        """Return what a student learns from ``teacher`` on these images."""

    def loss(self, model: nn.Module, batch: Batch, recipe: Recipe, taught: object | None) -> Tensor:
        """Return the scalar to be minimised, summed over images; ``taught`` comes from ``teach``."""

    def score(
        self,
        model: nn.Module,
        images: ImageSet,
        *,
        batch_size: int | None = None,
        device: torch.device | None = None,
    ) -> Score:
        """Return how well ``model`` does; under ``torchrun`` every worker scores its share."""


def calibration(data: DataSplits) -> Iterator[Batch]:
    """Return the first training images in batches, as many as the task says that criteria look at."""
    task = TASKS.get(data.task)
    batches = data.train.batches(task.batch_size, device=torch.device("cpu"))
    return islice(batches, task.calibration_images // task.batch_size)


TASKS: Registry[Task] = Registry("task", "compressor.training")
