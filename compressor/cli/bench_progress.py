"""What people see while ``compress bench`` measures: a moving line on a terminal, lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench.measure import Progress as Tell
from compressor.base.pace import Pace, Say
from compressor.base.text import foreign
from compressor.cli import output


@contextmanager
def telling(title: str) -> Iterator[tuple[Tell, Say]]:
    """Yield what is told how far it is, between blocks, and what is told of everything that is finished."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _now_and_then(), output.say
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(escape(title))

        def moved(what: str, done: int, total: int) -> None:
            bar.update(task, description=escape(foreign(what)), completed=done, total=total)

        yield moved, lambda words: bar.console.print(escape(foreign(words)), highlight=False)


def _now_and_then() -> Tell:
    pace = Pace()

    def tell(what: str, done: int, total: int) -> None:
        if pace.due():
            output.say(f"{what}, {done} of {total}")

    return tell
