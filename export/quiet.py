"""Keep the chatter of native libraries and exporters off the terminal, but do not lose it.

Runtimes written in C++ print to the file descriptors and know nothing of ``sys.stderr``; loggers hold on to
the stream they were made with. Both end at descriptors 1 and 2, so that is where the text is caught.
"""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Captured:
    """What was printed or warned; complete once the ``with`` block has ended."""

    text: str = ""


@contextlib.contextmanager
def captured_output() -> Iterator[Captured]:
    """Collect stdout, stderr and warnings of the block, from Python and from native code alike.

    Descriptors belong to the process: what other threads print meanwhile is collected too.
    """
    captured = Captured()
    caught: list[warnings.WarningMessage] = []  # an interruption may come before they are caught
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        try:
            with (
                _descriptors_to(file.fileno()),
                contextlib.redirect_stdout(file),
                contextlib.redirect_stderr(file),
                warnings.catch_warnings(record=True) as caught,
            ):
                warnings.simplefilter("always")
                yield captured
        finally:
            file.seek(0)
            captured.text = "".join([file.read(), *(f"{warning.message}\n" for warning in caught)])


@contextlib.contextmanager
def _descriptors_to(target: int) -> Iterator[None]:
    _flush()  # what was printed before the block belongs to the terminal
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        for descriptor in saved:
            os.dup2(target, descriptor)
        yield
    finally:
        _flush()
        for descriptor, original in saved.items():
            os.dup2(original, descriptor)
            os.close(original)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()
