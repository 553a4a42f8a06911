"""A progress bar on stderr, only where a person is watching."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from compressor.base import distributed
from compressor.training.records import measured


class Bar(Protocol):
    """What training tells a person."""

    def __call__(self, epoch: int, step: int, measures: Mapping[str, float]) -> None:
        """Show that a step is done, counted from 1, and what was measured after the last epoch."""


def _nobody(epoch: int, step: int, measures: Mapping[str, float]) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(epochs: int, steps_per_epoch: int) -> Iterator[Bar]:
    """Yield what to call after every step; it shows nothing without a terminal."""
    if distributed.rank() != 0 or not sys.stderr.isatty():
        yield _nobody
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("training", total=epochs * steps_per_epoch)

        def show(epoch: int, step: int, measures: Mapping[str, float]) -> None:
            done = (epoch - 1) * steps_per_epoch + step
            progress.update(task, completed=done, description=f"epoch {epoch}/{epochs}{measured(measures)}")

        yield show
