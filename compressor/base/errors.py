"""Errors a user can act on. The command line prints them without a traceback.

Every error has three parts: *what* happened and *where* (the message), and *what to do next* (the hint).
"""

from typing import ClassVar


class CompressError(Exception):
    """Something went wrong that the user can fix; exit code 1 unless a subclass says otherwise."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type["CompressError"], tuple[str, str]]:
        """Return how workers send it to each other."""
        return type(self), (self.message, self.hint)

    def __str__(self) -> str:
        return f"{_hanging(self.message)}\nHint: {_hanging(self.hint)}"


def _hanging(text: str) -> str:
    """Indent what follows a line break: one in a path must not begin what passes for a line of ours."""
    return text.replace("\n", "\n  ")


class UsageError(CompressError):
    """What was asked for makes no sense or does not exist (unknown name, bad rate, unreadable file)."""

    exit_code = 2


class GateFailedError(CompressError):
    """A regression gate failed."""

    exit_code = 3


class ParityError(CompressError):
    """Outputs or accuracy are beyond their limit."""

    exit_code = 4


class BackendMissingError(CompressError):
    """A runtime or device that was asked for is not usable here."""

    exit_code = 5


class NotFiniteError(CompressError):
    """A model or a loss computes NaN or infinity."""


class TraceError(CompressError):
    """The channel tracer met something it has no rule for."""


class OracleError(CompressError):
    """The shrunk model does not compute what the masked model computes."""


class ArtifactError(CompressError):
    """An artifact on disk is damaged, incomplete, or of another schema."""
