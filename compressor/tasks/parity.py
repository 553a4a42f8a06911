"""Does an exported model compute what the original computes?

The traced input alone proves little: branches, constants and shapes that were frozen by accident agree with
it by construction. So several inputs of differing brightness and contrast are compared, at batch sizes that
were not traced, and for every output

    relative difference = max |a - b| / max |a|

with a of the reference and b of the candidate; also names, shapes and types must agree, and all be finite.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from compressor.base.errors import ParityError, UsageError
from compressor.tasks.examples import example_arrays
from compressor.tasks.opened import Array, Images, Runnable
from compressor.zoo.inputs import InputSpec

PARITY_LIMITS: Final[Mapping[str, float]] = MappingProxyType({"fp32": 1e-4, "fp16": 1e-2, "int8": 0.5})
"""Largest relative difference per precision, the only such table.

Half precision keeps eleven bits: 5e-4 per rounding, a few times that after a hundred layers. Eight bits say
little through differences, accuracy on data decides; their limit only finds files that are broken.
"""

MIN_CASES: Final = 5
SERVED_BATCHES: Final = (1, 2, 8)
"""Images in a call; the last is what servers send at most, where nobody says otherwise."""
_MORE_CASES: Final = 3

MIN_CORRELATION: Final[Mapping[str, float]] = MappingProxyType({"fp32": 0.99, "fp16": 0.9, "int8": 0.75})
"""Least correlation of a file's outputs with PyTorch's over all inputs, each output's mean taken off.

A file that returns the mean outputs whatever it is shown differs little where outputs hardly vary, as those
of untrained networks do; what it cannot do is vary with them. Right files of nine untrained networks
measured 1.000, 1.000 and, in int8, 0.82 (DenseNet-40) to 0.997.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCase:
    """One output of one input.

    Attributes:
        batch: samples in the input.
        case: number of the input at this batch size, from 0.
        output: name of the output.
        relative_difference: max |a - b| / max |a|; 0 where both are all zero.
    """

    batch: int
    case: int
    output: str
    relative_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What both sessions computed for one input.

    Attributes:
        expected: outputs of the reference, by name.
        found: outputs of the candidate.
        cases: how they differ, one entry per output.
    """

    expected: Mapping[str, Array]
    found: Mapping[str, Array]
    cases: tuple[ParityCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Everything that was compared and found within the limit.

    Attributes:
        cases: one entry per batch size, input and output.
        max_relative_difference: the worst of them.
        limit: what was allowed.
        detections: how many were matched, of a detector; the difference is then the share that was not.
    """

    cases: tuple[ParityCase, ...]
    max_relative_difference: float
    limit: float
    detections: int | None = None

    def describe(self) -> str:
        """Return the result in words."""
        if self.detections is None:
            return (
                f"differs from PyTorch by at most {self.max_relative_difference:.1e} "
                f"(limit {self.limit:.0e}) over {len(self.cases)} comparisons"
            )
        return (
            f"{self.max_relative_difference:.2%} of {self.detections} detections differ from PyTorch's "
            f"(limit {self.limit:.2%})"
        )


def compare(
    reference: Runnable,
    candidate: Runnable,
    inputs: InputSpec,
    *,
    batches: Sequence[int] = SERVED_BATCHES,
    cases: int = MIN_CASES,
    seed: int = 0,
    limit: float = PARITY_LIMITS["fp32"],
) -> ParityReport:
    """Run both sessions on the same inputs and compare every output.

    Args:
        reference: the truth, usually PyTorch.
        candidate: the exported model.
        inputs: shapes without the batch axis.
        batches: batch sizes, the largest that is served among them. One size only where the model's batch is
            fixed.
        cases: different inputs at the first batch size, at least five; three at each of the others.
        seed: of the random inputs.
        limit: largest relative difference, from `PARITY_LIMITS`.

    Raises:
        ParityError: names, shapes or types differ, a value is not finite, the limit is exceeded, or the file
            does not vary with its inputs as the model does.
        UsageError: too few cases, no batch size, or a limit that is no number.
    """
    _check_request(batches, cases, limit)
    feeds = noise_feeds(inputs, batches, cases=cases, seed=seed)
    return compare_on(reference, candidate, feeds, limit=limit)


def noise_feeds(
    inputs: InputSpec, batches: Sequence[int], *, cases: int = MIN_CASES, seed: int = 0
) -> list[tuple[Array, ...]]:
    """Return seeded inputs: ``cases`` at the first batch size, three at each of the others."""
    pairs = [
        (batch, case) for n, batch in enumerate(batches) for case in range(cases if n == 0 else _MORE_CASES)
    ]
    return [example_arrays(inputs, batch, seed=(seed, batch, case)) for batch, case in pairs]


def compare_on(
    reference: Runnable,
    candidate: Runnable,
    feeds: Images,
    *,
    limit: float,
    correlation: float = MIN_CORRELATION["fp32"],
) -> ParityReport:
    """Run both sessions on given inputs and compare every output.

    Quantised files are compared like this, on images: noise lies outside of the ranges they were made for.

    Raises:
        ParityError: as for `compare`.
    """
    return judged(run_both(reference, candidate, feeds), limit=limit, correlation=correlation)


def run_both(reference: Runnable, candidate: Runnable, feeds: Images) -> list[Answers]:
    """Return what both sessions compute for each of the inputs.

    Raises:
        ParityError: names, shapes or types differ, or a value is not finite.
    """
    answers = []
    for case, arrays in enumerate(feeds):
        expected, found = run_on(reference, arrays), run_on(candidate, arrays)
        cases = _compare_outputs(expected, found, len(arrays[0]), case)
        answers.append(Answers(expected=expected, found=found, cases=tuple(cases)))
    return answers


def judged(answers: Sequence[Answers], *, limit: float, correlation: float) -> ParityReport:
    """Return how two sessions agree.

    Raises:
        ParityError: the limit is exceeded, or the file does not vary with its inputs as the model does.
    """
    compared = [case for answer in answers for case in answer.cases]
    if not compared:
        raise ParityError("nothing was compared", "give inputs, or leave --calib out.")
    worst = max(compared, key=lambda entry: entry.relative_difference)
    if not worst.relative_difference <= limit:
        raise _beyond_limit(worst, limit)
    _check_variation(answers, correlation)
    return ParityReport(cases=tuple(compared), max_relative_difference=worst.relative_difference, limit=limit)


def _check_variation(answers: Sequence[Answers], least: float) -> None:
    """Refuse a file whose outputs do not vary over inputs as the reference's do."""
    for name in answers[0].expected:
        truth, given = (
            np.concatenate([values[name].reshape(len(values[name]), -1) for values in side])
            for side in ([a.expected for a in answers], [a.found for a in answers])
        )
        alike = correlation_over_inputs(truth, given)
        if len(truth) >= MIN_CASES and alike < least:
            raise ParityError(
                f"output {name!r} does not vary with the inputs as PyTorch's does: correlation {alike:.3f} "
                f"over {len(truth)} inputs, the limit is {least:g}",
                "the file is not equivalent, or the model's outputs hardly vary, so that nothing is proved: "
                "compare on images, or export in fp32.",
            )


def correlation_over_inputs(truth: Array, given: Array) -> float:
    """Return Pearson's r of two (inputs, values) arrays, each value's own mean over inputs taken off.

    Where one does not vary at all, 1 if both are equal, else 0.
    """
    a, b = (values.astype(np.float64) - values.mean(axis=0, dtype=np.float64) for values in (truth, given))
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else float(np.array_equal(truth, given))


def relative_difference(expected: Array, found: Array) -> float:
    """Return max |a - b| / max |a|, 0 for equal arrays, infinity where only a is zero."""
    a, b = expected.astype(np.float64), found.astype(np.float64)
    difference = float(np.max(np.abs(a - b), initial=0.0))
    scale = float(np.max(np.abs(a), initial=0.0))
    if difference == 0:
        return 0.0
    return difference / scale if scale > 0 else math.inf


def _check_request(batches: Sequence[int], cases: int, limit: float) -> None:
    if cases < MIN_CASES:
        raise UsageError(f"{cases} inputs are too few to compare", f"ask for at least {MIN_CASES}")
    if not batches or min(batches) < 1:
        raise UsageError(f"cannot compare at batch sizes {list(batches)}", "give numbers from 1")
    if not (math.isfinite(limit) and limit >= 0):
        raise UsageError(f"parity limit is {limit}", "give a number from 0, for instance 1e-4")


def run_on(session: Runnable, arrays: Sequence[Array]) -> dict[str, Array]:
    """Return a session's outputs for arrays in the order of its inputs."""
    return session.run(dict(zip(session.input_names, arrays, strict=True)))


def _compare_outputs(
    expected: Mapping[str, Array], found: Mapping[str, Array], batch: int, case: int
) -> list[ParityCase]:
    if set(expected) != set(found):
        raise _mismatch("outputs", sorted(expected), sorted(found), "export the model again")
    return [
        ParityCase(
            batch=batch,
            case=case,
            output=name,
            relative_difference=_output_difference(f"{name!r} at batch {batch}", expected[name], found[name]),
        )
        for name in expected
    ]


def _output_difference(where: str, expected: Array, found: Array) -> float:
    if expected.shape != found.shape:
        hint = "a batch size may have been frozen during export"
        raise _mismatch(f"shape of {where}", expected.shape, found.shape, hint)
    if expected.dtype != found.dtype:
        hint = "add a cast, or compare models of one precision"
        raise _mismatch(f"type of {where}", expected.dtype, found.dtype, hint)
    for who, array in (("reference", expected), ("candidate", found)):
        if not np.all(np.isfinite(array)):
            raise ParityError(
                f"the {who} computes NaN or infinity for {where}",
                "look for overflow or a division by zero; retrain or re-export before deploying",
            )
    return relative_difference(expected, found)


def _mismatch(what: str, expected: object, found: object, hint: str) -> ParityError:
    return ParityError(f"{what}: expected {expected}, found {found}", hint)


def _beyond_limit(worst: ParityCase, limit: float) -> ParityError:
    return ParityError(
        f"output {worst.output!r} differs by {worst.relative_difference:.2e} of its largest value"
        f" (input {worst.case} at batch {worst.batch}), the limit is {limit:.0e}",
        "the exported file is not equivalent: export again from the same weights, in evaluation mode",
    )
