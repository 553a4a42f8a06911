"""What all stages of one chain share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import nn

from bench.layers.aim import Reached
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.base.pace import Say
from compressor.data import DataSplits, ImageSet
from compressor.tasks.scores import Score
from compressor.training.records import TrainResult

CHECKPOINTS: Final = ".run"
"""What the name of a folder of checkpoints ends in."""


def beside(output: Path) -> Path:
    """Return the folder of checkpoints that belongs to an output."""
    return output.with_name(f"{output.name}{CHECKPOINTS}")


def _nobody(result: object) -> None:
    """Hear nothing."""


class Store(Protocol):
    """Where the outputs of stages are kept: in memory, or in a run folder."""

    def get(self, name: str) -> Artifact:
        """Return what the stage called ``name`` made."""

    def put(self, name: str, artifact: Artifact) -> None:
        """Keep what a stage made."""

    def path(self, name: str) -> Path:
        """Return where a stage's output lies or will lie."""

    def checkpoints(self, name: str) -> Path | None:
        """Return where a training keeps its checkpoints, or None where it keeps none."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A chain that is being gone through.

    Attributes:
        open: returns what the chain starts from.
        store: where outputs are kept.
        spec: of the data set, as for ``--data``; None for none.
        device: where training and scoring happen.
        say: called with a line for people.
        teacher: returns what is distilled from; None where that is what the chain starts from.
        trained: called with what came of every training.
        reached: called with how near a cut came to the latency that was asked for.
    """

    open: Callable[[], Artifact]
    store: Store
    spec: str | None
    device: torch.device
    say: Say
    teacher: Callable[[], nn.Module] | None = None
    trained: Callable[[TrainResult], None] = _nobody
    reached: Callable[[Reached], None] = _nobody

    @cached_property
    def start(self) -> Artifact:
        """What the chain starts from; opened once, changed by no stage."""
        return self.open()

    @cached_property
    def data(self) -> DataSplits:
        """The data set, opened once for what the chain starts from.

        Raises:
            UsageError: there is none, or it does not fit the model.
        """
        if self.spec is None:
            raise UsageError("this needs images", "give --data, for instance --data digits.")
        start = self.start
        return start.task.data.open(self.spec, start.input, start.module)

    def taught_by(self) -> nn.Module:
        """Return what is distilled from."""
        return self.teacher() if self.teacher else self.start.module

    def made(self, name: str) -> Artifact:
        """Return what a stage made; "" names what the chain starts from."""
        return self.store.get(name) if name else self.start

    def score(self, artifact: Artifact, images: ImageSet) -> Score:
        """Return how well a model does; it is on the CPU afterwards, wherever it was scored."""
        score = artifact.task.scoring.score(artifact.module, images, device=self.device)
        artifact.module.cpu()
        return score
