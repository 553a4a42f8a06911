"""Ending early, and keeping what was measured until then."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Halt:
    """An interruption that ends measuring and nothing else.

    Attributes:
        by: exceptions that end it; with none, every exception passes.
        asked: whether one of them came.
    """

    by: tuple[type[BaseException], ...] = ()
    asked: bool = False

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """End the block, and no more than the block, where an interruption comes."""
        try:
            yield
        except self.by:
            self.asked = True


NEVER: Final = Halt()
"""Lets every exception pass, so that it never changes."""
