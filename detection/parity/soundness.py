"""Do a detector's outputs make sense by themselves, before anything is compared?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import ParityError
from compressor.tasks.opened import Array


def used_rows(outputs: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Return which rows are in use, (B, D)."""
    counts: NDArray[Any] = outputs["num_detections"]
    used: NDArray[np.bool_] = np.less(np.arange(outputs["scores"].shape[1]), counts[:, None])
    return used


def check_sound(outputs: Mapping[str, Array], who: str) -> None:
    """Refuse numbers that are none, and counts that the rows do not bear out.

    Raises:
        ParityError: NaN or infinity anywhere, or other rows with a score than those that are counted.
    """
    for name, values in outputs.items():
        if not np.all(np.isfinite(values)):
            raise ParityError(
                f"{who} computes NaN or infinity in {name!r}",
                "look for overflow or a division by zero; export again, or in fp32.",
            )
    scored = np.greater(outputs["scores"], 0)
    counts: NDArray[Any] = outputs["num_detections"]
    if (
        counts.min(initial=0) < 0
        or counts.max(initial=0) > scored.shape[1]
        or (scored != used_rows(outputs)).any()
    ):
        raise ParityError(
            f"{who} counts {counts.tolist()} detections in {scored.shape[1]} rows, of which "
            f"{scored.sum(axis=1).tolist()} have a score",
            "the exported file is not equivalent: export it again.",
        )


def check_sorted(outputs: Mapping[str, Array]) -> None:
    """Refuse detections that are not best first.

    Raises:
        ParityError: a row scores more than the one before.
    """
    scores: NDArray[Any] = outputs["scores"]
    if np.diff(scores, axis=1).max(initial=0) > 0:
        raise ParityError(
            "the file returns detections that are not sorted by their scores",
            "the exported file is not equivalent: export it again.",
        )


def check_alike(expected: Mapping[str, Array], found: Mapping[str, Array]) -> None:
    """Refuse outputs of other names, types or ranks; how many rows there are may depend on what was found.

    Raises:
        ParityError: naming the first difference.
    """
    if set(expected) != set(found):
        raise ParityError(
            f"outputs: expected {sorted(expected)}, found {sorted(found)}", "export the model again"
        )
    for name, values in expected.items():
        other = found[name]
        if values.dtype != other.dtype or values.ndim != other.ndim:
            raise ParityError(
                f"{name!r} is {other.dtype} of rank {other.ndim}, not {values.dtype} of rank {values.ndim}",
                "export the model again",
            )
