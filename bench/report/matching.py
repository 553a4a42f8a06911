"""Which facts are about the same model: results name models as users typed them, each command by itself."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Protocol, TypeVar


class Named(Protocol):
    """A fact about one model."""

    @property
    def model(self) -> str:
        """As the user typed it."""
        ...


F = TypeVar("F", bound=Named)


def about(name: str, facts: Sequence[F]) -> list[F]:
    """Return the facts about a model.

    A name that is the same to the letter decides. Without one the last part of the path does, where all facts
    that share it are about one model: ``runs/half.onnx`` is ``half.onnx``, unless there are two of these.
    """
    same = [fact for fact in facts if fact.model == name]
    if same:
        return same
    close = [fact for fact in facts if PurePath(fact.model).name == PurePath(name).name]
    return close if len({fact.model for fact in close}) == 1 else []
