"""What differs between kinds of models: a `Task` is composed of four parts, each of which can be another's.

A batch is whatever the task's data sets yield; only the task looks into it. One file adds a task: it
registers a `Task` in `TASKS`, where everything that follows an architecture's task finds it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compressor.base.registry import Registry
from compressor.data import DataSplits, ImageSet
from compressor.tasks.opened import Images, OpenFile, Pair, Run, Runnable
from compressor.tasks.parity import ParityReport
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Score
from compressor.zoo.inputs import InputSpec

Batch = Any


class Data(Protocol):
    """What a model of the task is shown."""

    @property
    def batch_size(self) -> int:
        """Images that a forward pass on a small machine takes at once."""

    @property
    def calibration_images(self) -> int:
        """How many training images criteria look at, by whatever road."""

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

    def feeds(self, batch: Batch, inputs: InputSpec) -> tuple[NDArray[Any], ...]:
        """Return what an exported file is fed for these images, one array per input of ``inputs``."""


class Learning(Protocol):
    """What a model of the task minimises."""

    @property
    def recipe(self) -> Recipe:
        """What trains by default."""

    def loss(self, model: nn.Module, batch: Batch, recipe: Recipe, taught: object | None) -> Tensor:
        """Return the scalar to be minimised, summed over images; ``taught`` comes from ``teach``."""

    def teach(self, teacher: nn.Module, batch: Batch) -> object:
        """Return what a student learns from ``teacher`` on these images."""


class Scoring(Protocol):
    """How well a model of the task does."""

    def score(
        self,
        model: nn.Module,
        images: ImageSet,
        *,
        batch_size: int | None = None,
        device: torch.device | None = None,
    ) -> Score:
        """Return how well ``model`` does; under ``torchrun`` every worker scores its share."""

    def run(self, model: nn.Module, batch: Batch) -> object:
        """Run ``model`` on the images as in deployment."""


class Serving(Protocol):
    """What becomes of a model of the task when it is exported."""

    @property
    def companion(self) -> Path | None:
        """Python file that decodes the outputs of exported files and is shipped beside them, or None."""

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

    def shapes(self, inputs: InputSpec) -> tuple[tuple[int, ...], ...]:
        """Return the shapes that a model takes, of which a file is made that takes ``inputs``."""

    def remarks(self, model: nn.Module) -> tuple[str, ...]:
        """Return what people must know of what ``model``, or a file behind its face, computed so far."""

    def compare(
        self, reference: Runnable, candidate: OpenFile, pair: Pair, images: Images | None
    ) -> ParityReport:
        """Compare an exported file with the module that it was made from.

        Args:
            reference: the module's session.
            candidate: the file, opened by the runtime that will run it.
            pair: what both take, and how the file was made.
            images: inputs of the file; None shows noise.

        Raises:
            ParityError: the file is not equivalent, or nothing was compared.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A kind of model.

    Attributes:
        data: what it is shown.
        learning: what it minimises.
        scoring: how well it does.
        serving: what becomes of it when it is exported.
    """

    data: Data
    learning: Learning
    scoring: Scoring
    serving: Serving


def calibration(data: DataSplits) -> Iterator[Batch]:
    """Return the first training images in batches, as many as the task says that criteria look at."""
    task = TASKS.get(data.task).data
    batches = data.train.batches(task.batch_size, device=torch.device("cpu"))
    return islice(batches, task.calibration_images // task.batch_size)


TASKS: Registry[Task] = Registry("task", "compressor.tasks")
