"""A progress bar on stderr, only where a person is watching."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from compressor.base import distributed


@contextmanager
def progress_bar(epochs: int, steps_per_epoch: int) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call after step (epoch, step), counted from 1; a no-op without a terminal."""
    if distributed.rank() != 0 or not sys.stderr.isatty():
        yield lambda epoch, step: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("training", total=epochs * steps_per_epoch)

        def show(epoch: int, step: int) -> None:
            done = (epoch - 1) * steps_per_epoch + step
            progress.update(task, completed=done, description=f"epoch {epoch}/{epochs}")

        yield show
