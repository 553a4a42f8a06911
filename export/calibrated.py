"""What quantisation learns from and is judged by, out of a data set."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import torch

from compressor.data import DataSplits
from compressor.tasks.task import TASKS
from compressor.zoo.inputs import InputSpec
from export.backends import SessionOptions
from export.deploy import Calibration
from export.precision.calibration import Feeds
from export.scored import score_of_file

_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class TrainingFeeds:
    """The first images of the train split as a file's inputs; can be read again and again.

    Attributes:
        data: where they come from.
        inputs: what the file takes.
        images: how many.
    """

    data: DataSplits
    inputs: InputSpec
    images: int

    def __iter__(self) -> Iterator[Feeds]:
        task = TASKS.get(self.data.task).data
        size = min(_BATCH, self.images)
        batches = self.data.train.batches(size, device=torch.device("cpu"))
        for batch in islice(batches, -(-self.images // size)):
            yield task.feeds(batch, self.inputs)


def calibration_on(
    data: DataSplits, inputs: InputSpec, *, images: int, limit: float | None, threads: int | None
) -> Calibration:
    """Return the calibration on a data set.

    Args:
        data: ranges come from its train split, accuracy from its validation split.
        inputs: what the file takes.
        images: whose ranges are measured.
        limit: percentage points that accuracy may fall; None judges nothing.
        threads: of the runtime that scores files.
    """

    def score(file: Path) -> float:
        return score_of_file(file, data.val, SessionOptions(threads=threads)).quality

    return Calibration(batches=TrainingFeeds(data, inputs, images), score=score, limit=limit)
