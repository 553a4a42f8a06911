"""Does an exported detector find what the original finds?

Rows of detections cannot be compared one by one: a rounding error may swap two neighbours in the ranking.
Three things are looked at instead. What is returned must be *sound* (`soundness`). What is *discrete* is
matched: same label, boxes that overlap, scores that agree. Near ties at thresholds, top-k and suppression
flip under rounding, in a network with random weights by the per cent; so the share without a partner is held
against the reference's own churn, PyTorch against PyTorch with noise of rounding size on its features. And
what is *continuous*, masks and heat maps, is compared number by number with what PyTorch makes of the file's
own boxes.

A file that shows its inner values is compared stage by stage instead (`detection.parity.stages`); this is for
engines, and for graphs whose shapes depend on data.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, Self

import torch
from torch import Tensor

from compressor.base.errors import ParityError
from compressor.tasks.examples import example_arrays
from compressor.tasks.opened import Array, Images, Runnable
from compressor.tasks.parity import (
    ParityCase,
    ParityReport,
    correlation_over_inputs,
    relative_difference,
    run_on,
)
from compressor.zoo.inputs import InputSpec
from detection.parity.soundness import check_alike, check_sound, used_rows
from detection.reference import match

AGAIN: Final = "the exported file is not equivalent: export again from the same weights, or in fp32."
"""What to do about a detector's file that differs."""


class Stages(Protocol):
    """A detector whose parts can be run alone; the forms that are exported are such modules."""

    def features(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return the feature maps by name."""

    def detect(self, features: dict[str, Tensor], images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return the outputs, from the feature maps."""

    def regions(
        self, features: dict[str, Tensor], boxes: Tensor, labels: Tensor, sizes: Tensor
    ) -> dict[str, Tensor]:
        """Return masks or heat maps of given boxes."""

    def listening(self) -> AbstractContextManager[float]:
        """Let all scores above 0 through inside the block; yields the usual threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchLimit:
    """What counts as the same detection, and how many may differ.

    Attributes:
        unmatched: largest share of detections without a partner, over all inputs, beyond the churn.
        min_iou: partners overlap more than this.
        max_score_error: their scores differ by no more.
        noise: relative size of the noise on feature maps that churn is measured with; 0 measures none.
        regions: largest relative difference of masks and heat maps on the same boxes.
        correlation: least correlation of masks and heat maps on the same boxes.
        spare: so many may differ whatever the share, as long as one agrees: scores at the threshold come and
            go.
    """

    unmatched: float
    min_iou: float
    max_score_error: float
    noise: float = 0.0
    regions: float = 1e-3
    correlation: float = 0.99
    spare: int = 0


MATCH_LIMITS: Final[Mapping[str, MatchLimit]] = MappingProxyType(
    {
        "fp32": MatchLimit(unmatched=0.005, min_iou=0.99, max_score_error=1e-3, noise=2e-6),
        "fp16": MatchLimit(
            unmatched=0.1, min_iou=0.9, max_score_error=0.02, noise=2e-3, regions=0.05, spare=2
        ),
        "int8": MatchLimit(
            unmatched=0.6, min_iou=0.5, max_score_error=0.2, regions=0.9, correlation=0.3, spare=2
        ),
    }
)
"""By precision, the only such table. Rounding shuffles near ties; average precision on images decides.

Noise: single precision rounds by 6e-8, half by 5e-4; features are sums of thousands of products, a hundred
layers deep. In int8 the share is generous as it is.
"""


def compare_detections(
    reference: Runnable,
    candidate: Runnable,
    inputs: InputSpec,
    *,
    batches: Sequence[int] = (1, 1, 1, 1, 2),
    seed: int = 0,
    limit: MatchLimit = MATCH_LIMITS["fp32"],
    stages: Stages | None = None,
) -> ParityReport:
    """Run both sessions on the same inputs and match what they detect.

    Args:
        reference: the truth, usually PyTorch.
        candidate: the exported model.
        inputs: canvas and size, without the batch axis.
        batches: batch size of every input that is tried; less where the inputs allow less.
        seed: of the random inputs.
        limit: from `MATCH_LIMITS`.
        stages: the reference's parts, for churn, masks and heat maps; without them only rows are matched.

    Returns:
        A report in which every case's difference is its share of unmatched detections.

    Raises:
        ParityError: outputs have other names or make no sense, too few detections match, masks or heat maps
            differ, or nothing was detected, so that nothing was compared.
    """
    feeds = canvas_noise(inputs, batches, seed)
    return compare_detections_on(reference, candidate, feeds, limit=limit, stages=stages)


def canvas_noise(
    inputs: InputSpec, batches: Sequence[int] = (1, 1, 1, 1, 2), seed: int = 0
) -> list[tuple[Array, ...]]:
    """Return seeded canvases and sizes, one pair per batch size."""
    sizes = [min(batch, inputs.max_batch or batch) for batch in batches]
    return [example_arrays(inputs, size, seed=(seed, size, case)) for case, size in enumerate(sizes)]


def compare_detections_on(
    reference: Runnable,
    candidate: Runnable,
    feeds: Images,
    *,
    limit: MatchLimit,
    stages: Stages | None = None,
) -> ParityReport:
    """Do the same on given inputs: canvases (B, 3, H, W) and sizes (B, 2).

    Raises:
        ParityError: as for `compare_detections`.
    """
    cases: list[ParityCase] = []
    total = same = churned = 0
    for case, arrays in enumerate(feeds):
        expected, found = run_on(reference, arrays), run_on(candidate, arrays)
        check_sound(expected, "PyTorch")
        check_sound(found, "the file")
        check_alike(expected, found)
        rows, pairs = _matched(expected, found, limit)
        total, same = total + rows, same + pairs
        if stages is not None:
            seen = _Seen.of(stages, arrays)
            churned += _churn(seen, expected, limit)
            cases += _regions(seen, found, limit, case)
        share = 1 - pairs / rows if rows else 0.0
        cases.append(
            ParityCase(batch=len(arrays[0]), case=case, output="detections", relative_difference=share)
        )
    return _judged(cases, total, total - same, churned, limit)


def _judged(
    cases: list[ParityCase], total: int, unmatched: int, churned: int, limit: MatchLimit
) -> ParityReport:
    if total == 0:
        raise nothing_detected()
    share, allowed = unmatched / total, limit.unmatched + churned / total
    if unmatched > max(limit.spare, allowed * total) or unmatched == total:
        raise ParityError(
            f"{unmatched} of {total} detections differ from PyTorch's ({share:.2%}), the limit is "
            f"{allowed:.2%}",
            AGAIN,
        )
    return ParityReport(cases=tuple(cases), max_relative_difference=share, limit=allowed, detections=total)


def _matched(expected: Mapping[str, Array], found: Mapping[str, Array], limit: MatchLimit) -> tuple[int, int]:
    """Return the number of detections of one input, and how many of them both sides agree on."""
    reports = [
        match(
            _rows(expected, i), _rows(found, i), min_iou=limit.min_iou, max_score_error=limit.max_score_error
        )
        for i in range(len(expected["num_detections"]))
    ]
    return sum(max(r.reference, r.found) for r in reports), sum(r.matched for r in reports)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """One input, and the reference's feature maps of it, which are computed once."""

    stages: Stages
    images: Tensor
    sizes: Tensor
    features: dict[str, Tensor]

    @classmethod
    def of(cls, stages: Stages, arrays: Sequence[Array]) -> Self:
        """Look at canvases and sizes."""
        images, sizes = (torch.from_numpy(array) for array in arrays)
        with torch.inference_mode():
            return cls(stages=stages, images=images, sizes=sizes, features=stages.features(images, sizes))


def _churn(seen: _Seen, expected: Mapping[str, Array], limit: MatchLimit) -> int:
    """Return how many detections the reference itself loses to noise of rounding size on its features."""
    if limit.noise == 0:
        return 0
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        noisy = {
            name: maps + limit.noise * maps.abs().amax() * torch.randn(maps.shape, generator=generator)
            for name, maps in seen.features.items()
        }
        outputs = seen.stages.detect(noisy, seen.images, seen.sizes)
        again = {name: value.numpy() for name, value in outputs.items()}
    rows, pairs = _matched(expected, again, limit)
    return rows - pairs


def _regions(seen: _Seen, found: Mapping[str, Array], limit: MatchLimit, case: int) -> list[ParityCase]:
    """Compare masks and heat maps with what the reference makes of the file's own boxes."""
    names = [name for name in ("masks", "heatmaps") if name in found]
    used = used_rows(found)
    if not names or not used.any():
        return []
    boxes, labels = torch.from_numpy(found["boxes"]), torch.from_numpy(found["labels"])
    with torch.inference_mode():
        regions = seen.stages.regions(seen.features, boxes, labels, seen.sizes)
    cases = []
    for name in names:
        truth, given = regions[name].numpy()[used], found[name][used]
        what = f"{name} differ from what PyTorch makes of the same boxes"
        difference = difference_within(truth, given, what, limit.regions, limit.correlation)
        cases.append(ParityCase(batch=len(boxes), case=case, output=name, relative_difference=difference))
    return cases


def nothing_detected() -> ParityError:
    """Return the error for a comparison that saw no detection."""
    return ParityError(
        "nothing was detected on any input, by PyTorch neither: the comparison saw nothing",
        "compare on images in which there is something: give --calib DATA.",
    )


def difference_within(truth: Array, given: Array, what: str, limit: float, correlation: float) -> float:
    """Return the relative difference of two arrays of one shape.

    Raises:
        ParityError: beginning with ``what``, where it is above ``limit`` or the correlation below its own.
    """
    difference = relative_difference(truth, given)
    alike = correlation_over_inputs(truth.reshape(-1, 1), given.reshape(-1, 1))
    if not difference <= limit or alike < correlation:
        raise ParityError(
            f"{what}: by {difference:.2e} of the largest value (limit {limit:g}), correlation {alike:.3f} "
            f"(limit {correlation:g})",
            AGAIN,
        )
    return difference


def _rows(outputs: Mapping[str, Array], image: int) -> dict[str, Array]:
    """Return the detections of one image of a batch, without padding."""
    count = int(outputs["num_detections"][image])
    return {name: outputs[name][image, :count] for name in ("boxes", "scores", "labels")}
