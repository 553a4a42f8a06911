"""Is every stage of an exported detector right, on exactly the inputs that it had?

Whole detectors cannot be compared under rounding: near ties at top-k, suppression and thresholds flip, in a
network with random weights by the dozen. So PyTorch carries out each stage on the file's *own* values of the
stage before (`export.taps`), from the true images on. What is continuous must then agree number by number,
what is discrete row by row: on the same inputs next to nothing flips. Since the stages follow one another
without a gap, a file whose stages are all right is right.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from compressor.base.errors import ParityError
from compressor.tasks.opened import Array, Images, OpenFile, Runnable
from compressor.tasks.parity import ParityCase, ParityReport, run_on
from detection.parity.rows import AGAIN, difference_within, nothing_detected
from detection.parity.soundness import check_sound
from detection.reference import match
from detection.stages import TAP, Ranked, Stage

_SLIVER_PX: Final = 1e-2  # what is narrower is no detection, and rounding decides how it overlaps
_NOTHING: Final = 1e-6  # scores below are none: runtimes flush them to 0 where PyTorch returns 1e-40


@runtime_checkable
class Staged(Protocol):
    """A detector that can be carried out stage by stage."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the steps from ``images`` and ``sizes`` to the outputs."""

    def inner(self) -> tuple[str, ...]:
        """Return the names of the values that its files show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimit:
    """How far a stage may be from PyTorch's on the same inputs.

    Attributes:
        numbers: largest relative difference of what is continuous.
        correlation: least correlation of it.
        rows: largest share of rows without a partner, of what is discrete.
        max_score_error: scores of partners differ by no more.
        min_iou: boxes of partners overlap more than this.
    """

    numbers: float
    correlation: float
    rows: float = 0.005
    max_score_error: float = 1e-4
    min_iou: float = 0.99


STAGE_LIMITS: Final[Mapping[str, StageLimit]] = MappingProxyType(
    {
        "fp32": StageLimit(numbers=1e-4, correlation=0.99),
        "fp16": StageLimit(numbers=2e-2, correlation=0.99),
        "int8": StageLimit(numbers=0.5, correlation=0.75),
    }
)
"""By precision. Top-k and suppression compute in fp32 in all of them: their limits are the same."""


def is_staged(module: object, file: OpenFile) -> bool:
    """Return whether ``file`` can show all the inner values of ``module``, so that stages can be compared."""
    return isinstance(module, Staged) and set(module.inner()) <= file.inner()


def compare_stages(module: Staged, tapped: Runnable, feeds: Images, limit: StageLimit) -> ParityReport:
    """Compare every stage of a file with PyTorch's on the same inputs.

    Args:
        module: the reference.
        tapped: the file that returns its inner values too.
        feeds: canvases (B, 3, H, W) and sizes (B, 2).
        limit: from `STAGE_LIMITS`.

    Raises:
        ParityError: a stage differs, its numbers are none, or nothing was detected.
    """
    cases, rows, pairs = [], 0, 0
    for number, arrays in enumerate(feeds):
        values = _values(tapped, arrays)
        for stage, expected in _expected(module, values):
            if stage.ranked is None:
                cases += [
                    _numbers(stage, name, expected[name], values, limit, number) for name in stage.gives
                ]
                continue
            _check_flags(stage, expected, values)
            counted, same = _rows(stage, stage.ranked, expected, values, limit)
            if stage.ranked.labels is not None:
                rows, pairs = rows + counted, pairs + same
    if rows == 0:
        raise nothing_detected()
    return ParityReport(
        cases=tuple(cases), max_relative_difference=1 - pairs / rows, limit=limit.rows, detections=rows
    )


def _values(tapped: Runnable, arrays: Sequence[Array]) -> dict[str, Tensor]:
    """Return everything that the file computes, by name, with what it was given."""
    outputs = run_on(tapped, arrays)
    check_sound(outputs, "the file")
    images, sizes = (torch.from_numpy(array) for array in arrays)
    shown = {name.removeprefix(TAP): torch.from_numpy(_single(value)) for name, value in outputs.items()}
    return {"images": images, "sizes": sizes, **shown}


def _single(values: Array) -> Array:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _expected(module: Staged, values: dict[str, Tensor]) -> Iterator[tuple[Stage, Mapping[str, Tensor]]]:
    """Yield what PyTorch makes of the file's values, stage by stage; what no file shows is filled in."""
    for stage in module.stages():
        with torch.inference_mode():
            made = stage(values)
        if stage.shown:
            yield stage, made
        else:
            values |= made


def _numbers(
    stage: Stage, name: str, expected: Tensor, values: Mapping[str, Tensor], limit: StageLimit, case: int
) -> ParityCase:
    truth, given = expected.numpy(), values[name].numpy()
    if truth.shape != given.shape:
        raise ParityError(f"{name} has shape {given.shape}, not {truth.shape}", AGAIN)
    what = f"{name} differ from what PyTorch's {stage.name} makes of the same inputs"
    difference = difference_within(truth, given, what, limit.numbers, limit.correlation)
    return ParityCase(batch=len(truth), case=case, output=name, relative_difference=difference)


def _check_flags(stage: Stage, expected: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Refuse other flags, such as whether the suppression was exact.

    Raises:
        ParityError: naming the first.
    """
    for name in stage.gives:
        if expected[name].dtype == torch.bool and not torch.equal(expected[name], values[name]):
            raise ParityError(
                f"{name} is {values[name].tolist()}, not {expected[name].tolist()} as PyTorch's {stage.name} "
                "says of the same inputs",
                AGAIN,
            )


def _rows(
    stage: Stage,
    ranked: Ranked,
    expected: Mapping[str, Tensor],
    values: Mapping[str, Tensor],
    limit: StageLimit,
) -> tuple[int, int]:
    """Return how many rows there are, and how many of them both sides have.

    Raises:
        ParityError: too many have no partner.
    """
    rows = pairs = 0
    for image in range(len(expected[ranked.scores])):
        report = match(
            _image(expected, ranked, image), _image(values, ranked, image),
            min_iou=limit.min_iou, max_score_error=limit.max_score_error,
        )  # fmt: skip
        rows, pairs = rows + max(report.reference, report.found), pairs + report.matched
    if rows - pairs > limit.rows * rows:
        raise ParityError(
            f"{rows - pairs} of {rows} {stage.name} differ from what PyTorch finds on the same inputs "
            f"({1 - pairs / rows:.2%}), the limit is {limit.rows:.2%}",
            AGAIN,
        )
    return rows, pairs


def _image(values: Mapping[str, Tensor], ranked: Ranked, image: int) -> dict[str, Array]:
    """Return the rows of one image that are in use, as detections, without those that are none or slivers."""
    scores = values[ranked.scores][image].flatten().numpy()
    boxes = values[ranked.boxes][image].numpy()
    used = np.greater(scores, _NOTHING) & np.greater(boxes[:, 2:] - boxes[:, :2], _SLIVER_PX).all(axis=1)
    labels = np.zeros(scores.shape, np.int64)
    if ranked.labels is not None:
        labels = values[ranked.labels][image].numpy()
    return {"boxes": boxes[used], "scores": scores[used], "labels": labels[used]}
