"""An exported file as a model that can be scored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from compressor.artifact.value import Shapes
from compressor.data import ImageSet
from compressor.tasks.scores import Score
from compressor.tasks.task import Task
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions, require_device, usual_backends
from export.metadata import read_exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open file behind the face of a module.

    Attributes:
        task: what it does.
        model: the face, for the task's data and scores.
        inputs: what it takes.
    """

    task: Task
    model: nn.Module
    inputs: InputSpec


@contextmanager
def opened(
    path: Path, options: SessionOptions, backend: str | None = None, shapes: Shapes | None = None
) -> Iterator[Opened]:
    """Open a file; it is closed on exit.

    Args:
        path: the file.
        options: where it runs.
        backend: by which runtime; None for the usual one.
        shapes: of its inputs, where it does not say.

    Raises:
        UsageError: the file cannot be read, or the runtime does not open it.
        BackendMissingError: the runtime or its device is not usable.
    """
    runtime = BACKENDS.get(backend or usual_backends()[path.suffix])
    require_device(runtime, options.device)
    file = read_exported(path)
    task, inputs = file.task, file.input(shapes)
    with runtime.open(path, options) as session:
        model = task.serving.remote(session.run, session.input_names, inputs, file.properties)
        yield Opened(task=task, model=model, inputs=inputs)


def score_of_file(path: Path, images: ImageSet, options: SessionOptions) -> Score:
    """Return the score of a file on a split of data that is open already."""
    with opened(path, options) as file:
        return file.task.scoring.score(file.model, images)
