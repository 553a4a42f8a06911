"""A sign of life now and then: people who wait want one at least every ten seconds."""

import time
from collections.abc import Callable
from typing import Final

SILENT_S: Final = 10.0

Say = Callable[[str], None]
"""Takes a line for people."""


def unheard(words: str) -> None:
    """Say nothing."""


class Pace:
    """Says when something should be heard again.

    Args:
        silent_s: how long nothing may be heard.
    """

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self.spoken()

    def spoken(self) -> None:
        """Note that something was heard."""
        self._last = time.monotonic()

    def due(self) -> bool:
        """Say whether it was silent for long enough; if so, it is taken that something is heard now."""
        if time.monotonic() - self._last < self._silent_s:
            return False
        self.spoken()
        return True
