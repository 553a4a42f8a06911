"""TensorRT answers None or False where it fails, and tells a logger why: here the two become one error."""

from __future__ import annotations  # types of a module that may not be installed

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from compressor.base.errors import BackendMissingError, CompressError
from export.tensorrt import api as trt

T = TypeVar("T")

_ERROR: Final = 1
_WARNING: Final = 2
_KEPT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A logger and what it was told.

    Attributes:
        logger: what TensorRT's constructors want.
        messages: (severity, text) of the last warnings and errors; 0 internal error, 1 error, 2 warning.
    """

    logger: trt.ILogger
    messages: deque[tuple[int, str]]

    def said(self) -> str:
        """Return the errors on one line, the warnings where there are none."""
        errors = [text for severity, text in self.messages if severity <= _ERROR]
        found = errors or [text for _, text in self.messages]
        return "; ".join(found) or "it gave no reason"

    def need(self, answer: T | None, call: str, hint: str) -> T:
        """Return the answer of a call, unless it is TensorRT's way of reporting failure.

        Args:
            answer: what the call returned.
            call: its name, for the message.
            hint: what to do about it.

        Raises:
            CompressError: the answer is None or False.
        """
        if answer is None or answer is False:
            raise CompressError(f"TensorRT's {call} failed: {self.said()}", hint)
        return answer

    def create(self, kind: Callable[[trt.ILogger], T]) -> T:
        """Construct one of the objects that everything starts from, a builder or a runtime.

        Raises:
            BackendMissingError: the libraries or the GPU are not usable; the bindings say it with a
                TypeError.
        """
        try:
            return kind(self.logger)
        except TypeError as error:
            raise BackendMissingError(
                f"TensorRT does not start: {self.said()} ({error})",
                "check driver, GPU and the installed TensorRT with `compress doctor`",
            ) from error


def new_log() -> Log:
    """Return an empty log, and have TensorRT's own plugins registered (RoiAlign is one).

    Raises:
        CompressError: the plugins cannot be registered.
    """
    log = _log_of_process()
    log.messages.clear()
    plugins = trt.init_libnvinfer_plugins(log.logger, "")
    log.need(plugins, "init_libnvinfer_plugins", "install TensorRT again")
    return log


@functools.cache  # TensorRT keeps a pointer to the first logger of the process for good: it must stay alive
def _log_of_process() -> Log:
    messages: deque[tuple[int, str]] = deque(maxlen=_KEPT)

    class Collector(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants the base by name

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if int(severity) <= _WARNING:
                messages.append((int(severity), msg))

    return Log(logger=Collector(), messages=messages)
