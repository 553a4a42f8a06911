"""Does an exported detector find what the original finds?

Rows of detections cannot be compared one by one: a rounding error may swap two neighbours in the ranking.
They are matched instead: same label, overlap above 0.99, scores within 1e-3.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from compressor.errors import ParityError
from compressor.types import InputSpec
from detection.reference import match
from export.backends import Array, Session
from export.model_io import example_arrays
from export.parity import ParityCase, ParityReport

UNMATCHED_LIMITS: Final = {"fp32": 0.005, "fp16": 1.0, "int8": 1.0}
"""Largest share of unmatched detections on noise, where near ties are far more frequent than on images.

Lower precisions shuffle near ties: the share is reported, average precision on images decides.
"""


def compare_detections(
    reference: Session,
    candidate: Session,
    inputs: InputSpec,
    *,
    batches: Sequence[int] = (1, 1, 1, 1, 2),
    seed: int = 0,
    limit: float = UNMATCHED_LIMITS["fp32"],
) -> ParityReport:
    """Run both sessions on the same inputs and match what they detect.

    Args:
        reference: the truth, usually PyTorch.
        candidate: the exported model.
        inputs: canvas and size, without the batch axis.
        batches: batch size of every input that is tried.
        seed: of the random inputs.
        limit: largest share of unmatched detections, over all inputs.

    Returns:
        A report in which every case's difference is its share of unmatched detections.

    Raises:
        ParityError: outputs have other names, or too few detections match.
    """
    matched = [
        _matched(reference, candidate, example_arrays(inputs, batch, seed=(seed, batch, case)))
        for case, batch in enumerate(batches)
    ]
    total, same = sum(rows for rows, _ in matched), sum(pairs for _, pairs in matched)
    unmatched = 1 - same / total if total else 0.0
    if unmatched > limit:
        raise ParityError(
            f"{total - same} of {total} detections differ from PyTorch's ({unmatched:.2%}), the limit is "
            f"{limit:.2%}",
            "the exported file is not equivalent: export again from the same weights.",
        )
    cases = tuple(
        ParityCase(
            batch=batch, case=case, output="detections", relative_difference=1 - pairs / rows if rows else 0.0
        )
        for case, (batch, (rows, pairs)) in enumerate(zip(batches, matched, strict=True))
    )
    return ParityReport(cases=cases, max_relative_difference=unmatched, limit=limit, detections=total)


def _matched(reference: Session, candidate: Session, arrays: Sequence[Array]) -> tuple[int, int]:
    """Return the number of detections of one input, and how many of them both sessions agree on."""
    expected, found = _run(reference, arrays), _run(candidate, arrays)
    _check_names(expected, found)
    reports = [match(_rows(expected, i), _rows(found, i)) for i in range(len(arrays[0]))]
    return sum(max(r.reference, r.found) for r in reports), sum(r.matched for r in reports)


def _run(session: Session, arrays: Sequence[Array]) -> dict[str, Array]:
    return session.run(dict(zip(session.input_names, arrays, strict=True)))


def _check_names(expected: Mapping[str, Array], found: Mapping[str, Array]) -> None:
    if set(expected) != set(found):
        raise ParityError(
            f"outputs: expected {sorted(expected)}, found {sorted(found)}", "export the model again"
        )


def _rows(outputs: Mapping[str, Array], image: int) -> dict[str, Array]:
    """Return the detections of one image of a batch, without padding."""
    count = int(outputs["num_detections"][image])
    return {name: outputs[name][image, :count] for name in ("boxes", "scores", "labels")}
