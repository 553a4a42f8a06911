"""A forward pass that can be paused in the middle, so that many advance layer by layer, together.

Every pass runs on a thread of its own, and only while somebody waits for it: there is never more than one
that computes. A paused pass holds the few activations that its remaining layers need, and nothing else.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from compressor.base.errors import CompressError

E = TypeVar("E")


class _Closed(BaseException):
    """Ends a pass that nobody waits for any more."""


class Routine(Generic[E]):
    """One pass. ``work`` is called with the function that pauses it."""

    def __init__(self, work: Callable[[Callable[[E], None]], object]) -> None:
        self._work = work
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._event: E | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def advance(self) -> E | None:
        """Let it run until it pauses, and return what it pauses with; None at its end.

        Raises:
            Exception: whatever the work raises.
        """
        self._event = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        elif self._thread.is_alive():
            self._go.release()
        else:
            return None
        self._back.acquire()
        if self._error is not None:
            raise self._error
        return self._event

    def close(self) -> None:
        """End it where it is."""
        self._closed, self._event = True, None
        if self._thread is not None and self._thread.is_alive():
            self._go.release()
            self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self._pause)
        except _Closed:
            pass
        except Exception as error:  # it is raised where somebody waits
            self._error = error
        finally:
            self._event = None
            self._back.release()

    def _pause(self, event: E) -> None:
        if self._closed:
            raise _Closed
        self._event = event
        self._back.release()
        self._go.acquire()
        if self._closed:
            raise _Closed


def unlike() -> CompressError:
    """Return the error for two models that do not run through the same layers."""
    return CompressError(
        "the dense and the pruned model do not run through the same layers in the same order",
        "give the dense model that was pruned, with the same input.",
    )
