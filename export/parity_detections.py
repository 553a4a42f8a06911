"""Does an exported detector find what the original finds?

Rows of detections cannot be compared one by one: a rounding error may swap two neighbours in the ranking.
They are matched instead: same label, boxes that overlap, scores that agree, as far as the precision allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from compressor.errors import ParityError
from compressor.types import InputSpec
from detection.reference import match
from export.backends import Array, Session
from export.model_io import example_arrays
from export.parity import ParityCase, ParityReport


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchLimit:
    """What counts as the same detection, and how many may differ.

    Attributes:
        unmatched: largest share of detections without a partner, over all inputs.
        min_iou: partners overlap more than this.
        max_score_error: their scores differ by no more.
        spare: so many may differ whatever the share, as long as one agrees: scores at the threshold come and
            go.
    """

    unmatched: float
    min_iou: float
    max_score_error: float
    spare: int = 0


MATCH_LIMITS: Final[Mapping[str, MatchLimit]] = MappingProxyType(
    {
        "fp32": MatchLimit(unmatched=0.005, min_iou=0.99, max_score_error=1e-3),
        "fp16": MatchLimit(unmatched=0.1, min_iou=0.9, max_score_error=0.02, spare=2),
        "int8": MatchLimit(unmatched=0.6, min_iou=0.5, max_score_error=0.2, spare=2),
    }
)
"""By precision, the only such table. Rounding shuffles near ties; average precision on images decides."""


def compare_detections(
    reference: Session,
    candidate: Session,
    inputs: InputSpec,
    *,
    batches: Sequence[int] = (1, 1, 1, 1, 2),
    seed: int = 0,
    limit: MatchLimit = MATCH_LIMITS["fp32"],
) -> ParityReport:
    """Run both sessions on the same inputs and match what they detect.

    Args:
        reference: the truth, usually PyTorch.
        candidate: the exported model.
        inputs: canvas and size, without the batch axis.
        batches: batch size of every input that is tried; less where the inputs allow less.
        seed: of the random inputs.
        limit: from `MATCH_LIMITS`.

    Returns:
        A report in which every case's difference is its share of unmatched detections.

    Raises:
        ParityError: outputs have other names, or too few detections match.
    """
    sizes = [min(batch, inputs.max_batch or batch) for batch in batches]
    feeds = (example_arrays(inputs, size, seed=(seed, size, case)) for case, size in enumerate(sizes))
    return compare_detections_on(reference, candidate, feeds, limit=limit)


def compare_detections_on(
    reference: Session, candidate: Session, feeds: Iterable[Sequence[Array]], *, limit: MatchLimit
) -> ParityReport:
    """Do the same on given inputs: canvases (B, 3, H, W) and sizes (B, 2).

    Raises:
        ParityError: as for `compare_detections`.
    """
    cases: list[ParityCase] = []
    total = same = 0
    for case, arrays in enumerate(feeds):
        rows, pairs = _matched(reference, candidate, arrays, limit)
        total, same = total + rows, same + pairs
        share = 1 - pairs / rows if rows else 0.0
        cases.append(
            ParityCase(batch=len(arrays[0]), case=case, output="detections", relative_difference=share)
        )
    unmatched = 1 - same / total if total else 0.0
    too_many = total - same > max(limit.spare, limit.unmatched * total)
    if too_many or unmatched == 1:
        raise ParityError(
            f"{total - same} of {total} detections differ from PyTorch's ({unmatched:.2%}), the limit is "
            f"{limit.unmatched:.2%}",
            "the exported file is not equivalent: export again from the same weights, or in fp32.",
        )
    return ParityReport(
        cases=tuple(cases), max_relative_difference=unmatched, limit=limit.unmatched, detections=total
    )


def _matched(
    reference: Session, candidate: Session, arrays: Sequence[Array], limit: MatchLimit
) -> tuple[int, int]:
    """Return the number of detections of one input, and how many of them both sessions agree on."""
    expected, found = _run(reference, arrays), _run(candidate, arrays)
    _check_names(expected, found)
    reports = [
        match(
            _rows(expected, i),
            _rows(found, i),
            min_iou=limit.min_iou,
            max_score_error=limit.max_score_error,
        )
        for i in range(len(arrays[0]))
    ]
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
