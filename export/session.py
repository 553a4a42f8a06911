"""An open model: what every runtime's session does before and after the runtime's own part."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
import numpy.typing as npt

from compressor.base.errors import UsageError
from compressor.base.text import foreign

Array = npt.NDArray[np.generic]
Feed = Mapping[str, Array]

Spinning = Literal["default", "stopped"]

OPEN = -1
"""A size that is not fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an open model takes under one name.

    Attributes:
        name: to feed it under.
        dtype: element type; None where the runtime does not tell, which is then left to it.
        smallest: shape with the smallest sizes, batch first; `OPEN` where there is no limit. None where the
            runtime does not tell.
        largest: shape with the largest sizes, likewise.
    """

    name: str
    dtype: np.dtype[Any] | None = None
    smallest: tuple[int, ...] | None = None
    largest: tuple[int, ...] | None = None

    @classmethod
    def of(cls, name: str, dtype: np.dtype[Any] | None, shape: tuple[int, ...] | None) -> Self:
        """Return an input of one shape, `OPEN` where any size will do."""
        return cls(name=name, dtype=dtype, smallest=shape, largest=shape)

    def fits(self, array: Array) -> bool:
        """Say whether an array may be fed."""
        return (self.dtype is None or array.dtype == self.dtype) and self._has_room(array.shape)

    def _has_room(self, shape: tuple[int, ...]) -> bool:
        if self.smallest is None or self.largest is None:
            return True
        return len(shape) == len(self.smallest) and all(
            low <= size and (high == OPEN or size <= high)
            for low, size, high in zip(self.smallest, shape, self.largest, strict=True)
        )

    def __str__(self) -> str:
        kind = str(self.dtype) if self.dtype is not None else "any type"
        if self.smallest is None or self.largest is None:
            return kind
        ends = [_shape_text(self.smallest), _shape_text(self.largest)]
        return f"{kind} {ends[0]}" if ends[0] == ends[1] else f"{kind} {ends[0]} to {ends[1]}"


class Session(ABC):
    """An open model. Use it in a ``with`` block: leaving it frees threads and memory.

    A runtime fills in two hooks: `_run`, which gets only feeds that were checked, and `_release`, which is
    called once. A session that only holds Python objects lets go of them there.

    Attributes:
        input_names: names to feed, in the order of the model's positional inputs.
        output_names: names that `run` returns, in the model's order.
        device: where it really runs.
        spinning: what its idle threads do after a call; see `export.backends.SessionOptions`.
    """

    spinning: Spinning = "default"
    what: ClassVar[str] = "the model"
    remedy: ClassVar[str] = "feed that, or export the model for what is fed"

    def __init__(self, inputs: Sequence[Taken], outputs: Sequence[str], device: str) -> None:
        self.device = device
        self.input_names = tuple(taken.name for taken in inputs)
        self.output_names = tuple(outputs)
        self._taken = tuple(inputs)
        self._closed = False

    @final
    def named(self, arrays: Sequence[Array], name: str = "the model") -> dict[str, Array]:
        """Return arrays by the names of the inputs.

        Args:
            arrays: in the order of `input_names`.
            name: of the model, for the message.

        Raises:
            UsageError: there are more or fewer of them than inputs.
        """
        if len(arrays) != len(self.input_names):
            raise UsageError(
                f"{foreign(name)} takes {', '.join(self.input_names)}, but {len(arrays)} shapes are known",
                "give one shape per input: --input 3x224x224.",
            )
        return dict(zip(self.input_names, arrays, strict=True))

    @final
    def run(self, feed: Feed) -> dict[str, Array]:
        """Compute the outputs, and return when they lie in host memory.

        On an accelerator that includes both copies, so the time of a call is what a client would wait.

        Args:
            feed: an array (batch, ...) for every input name.

        Raises:
            UsageError: names, types or shapes that the model does not take.
            RuntimeError: the session was closed.
        """
        self._check_open()
        self._check(feed)
        return self._run(feed)

    @final
    def close(self) -> None:
        """Free what the session holds; a second time, nothing happens."""
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _run(self, feed: Feed) -> dict[str, Array]:
        """Compute the outputs of a feed that fits; see `run`."""

    @abstractmethod
    def _release(self) -> None:
        """Free what the session holds."""

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this session was closed")

    def _check(self, feed: Feed) -> None:
        if set(feed) != set(self.input_names):
            raise UsageError(
                f"the model takes {', '.join(self.input_names)}, but was fed {', '.join(feed) or 'nothing'}",
                "feed every input under its own name",
            )
        for taken in self._taken:
            array = feed[taken.name]
            if not taken.fits(array):
                raise UsageError(
                    f"the model refuses its input: {taken.name} is {array.dtype} {array.shape}, {self.what}"
                    f" takes {taken}",
                    self.remedy,
                )


def _shape_text(shape: tuple[int, ...]) -> str:
    sizes = ["any" if size == OPEN else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
