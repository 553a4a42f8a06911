"""What a task sees of sessions and exported files: arrays in, arrays out, whatever the runtime."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compressor.zoo.inputs import InputSpec

Array = NDArray[np.generic]
Arrays = dict[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]
"""Computes named outputs from named inputs."""
Images = Iterable[Sequence[Array]]
"""Inputs of a file, one array per input."""
Precision = Literal["fp32", "fp16", "int8"]


class Runnable(Protocol):
    """An open model."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names to feed, in the order of the model's inputs."""

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs by name."""


class OpenFile(Runnable, Protocol):
    """An exported file that is open, and what can be looked at in it."""

    def inner(self) -> frozenset[str]:
        """Return the names of the inner values that can be shown; none of a file that was compiled."""

    def showing(self, names: Iterable[str]) -> AbstractContextManager[Runnable]:
        """Open the same file returning inner values too, under their names in the file."""

    def lowered(self, threshold: float) -> AbstractContextManager["OpenFile"]:
        """Open the same file with 0 in place of a score threshold.

        Raises:
            ParityError: the file compares nothing with the threshold.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is compared.

    Attributes:
        inputs: what both take.
        precision: of the file.
        batches: numbers of images in a call at which they are compared.
        exported: the module that was written; of the model itself, or with its widths padded.
    """

    inputs: InputSpec
    precision: Precision
    batches: tuple[int, ...]
    exported: nn.Module
