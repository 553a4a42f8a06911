"""Detections against annotations, scored by COCO's own rules.

Masks are encoded as they come, so that predictions of a large split can be streamed; what several workers
encoded can be merged before it is scored.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.base.errors import UsageError
from compressor.tasks.scores import AveragePrecision
from detection.coco.layout import Finds
from detection.coco.truth import GroundTruth
from detection.evaluation.documents import Kind, Results, results_of, truth_document
from detection.evaluation.engines import Engine, installed_engine
from detection.types import Detections

_FIELDS: dict[Kind, str] = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}
_KINDS: dict[Finds, tuple[Kind, ...]] = {
    "boxes": ("bbox",),
    "masks": ("bbox", "segm"),
    "keypoints": ("bbox", "keypoints"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedDetections:
    """Detections in COCO's results format: small enough to keep and to send, and JSON-able.

    Attributes:
        found: by image id and kind, one entry per detection; an image without detections is there, empty.
    """

    found: Mapping[int, Mapping[Kind, Results]]

    @classmethod
    def merged(cls, parts: Iterable["EncodedDetections"]) -> "EncodedDetections":
        """Join what several workers found; an image that two of them saw counts once."""
        return cls(found={image: by_kind for part in parts for image, by_kind in part.found.items()})

    def results(self, kind: Kind) -> Results:
        """Return copies of all entries of a kind, as they would stand in a COCO results file."""
        return [dict(entry) for image in sorted(self.found) for entry in self.found[image][kind]]


def kinds_of(task: Finds) -> tuple[Kind, ...]:
    """Return what is scored of a model for ``task``."""
    return _KINDS[task]


def evaluate_detections(
    ground_truth: GroundTruth,
    predictions: Mapping[int, Detections] | Iterable[tuple[int, Detections]],
    kinds: Sequence[Kind] = ("bbox",),
    *,
    engine: Engine | None = None,
) -> AveragePrecision:
    """Score detections of all images of a split.

    Args:
        ground_truth: of the split, or of some of its images (``ground_truth.only(...)``).
        predictions: by image id; pairs are read one by one, so that masks need not be kept.
        kinds: what to score.
        engine: library to use; None takes the fast one if it is installed, else the reference.

    Raises:
        UsageError: images lack predictions or are not of the split, or there is nothing to find.
        BackendMissingError: no library is installed.
    """
    engine = engine or installed_engine()
    encoded = encode_detections(ground_truth, predictions, kinds, engine=engine)
    return score_detections(ground_truth, encoded, kinds, engine=engine)


def encode_detections(
    ground_truth: GroundTruth,
    predictions: Mapping[int, Detections] | Iterable[tuple[int, Detections]],
    kinds: Sequence[Kind] = ("bbox",),
    *,
    engine: Engine | None = None,
) -> EncodedDetections:
    """Encode detections of any number of images; class numbers become category ids.

    Detections of a class that the data set does not have count neither for nor against the model.

    Raises:
        UsageError: the detections have no masks or keypoints, and ``kinds`` asks for them.
        BackendMissingError: no library is installed.
    """
    engine = engine or installed_engine()
    pairs = predictions.items() if isinstance(predictions, Mapping) else predictions
    return EncodedDetections(
        found={
            image: {kind: results_of(found, kind, ground_truth, image, engine) for kind in kinds}
            for image, found in pairs
        }
    )


def score_detections(
    ground_truth: GroundTruth,
    encoded: EncodedDetections,
    kinds: Sequence[Kind] = ("bbox",),
    *,
    engine: Engine | None = None,
) -> AveragePrecision:
    """Score encoded detections; there must be some, or none, for every image and for no other.

    Raises:
        UsageError: images lack predictions or are not of the split, or there is nothing to find.
        BackendMissingError: no library is installed.
    """
    engine = engine or installed_engine()
    _check_images(ground_truth, encoded)
    figures: dict[str, float] = {}
    for kind in kinds:
        figures |= _figures(ground_truth, encoded.results(kind), kind, engine)
    return AveragePrecision(images=len(ground_truth.images), **figures)


def _check_images(truth: GroundTruth, encoded: EncodedDetections) -> None:
    wanted = {image.id for image in truth.images}
    foreign, absent = encoded.found.keys() - wanted, wanted - encoded.found.keys()
    if foreign or absent:
        raise UsageError(
            f"{truth.source}: {len(absent)} of {len(wanted)} images have no predictions, and {len(foreign)} "
            "predictions are of other images",
            "predict every image once, or score a part with ground_truth.only(image_ids)",
        )


def _figures(truth: GroundTruth, results: Results, kind: Kind, engine: Engine) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):  # the libraries print progress and tables
        stored = _indexed(truth_document(truth, kind), engine)
        found = (
            stored.loadRes(results) if results else _indexed({**stored.dataset, "annotations": []}, engine)
        )
        scored = engine.evaluate(stored, found, kind)
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    mean, at50, at75 = (100 * float(value) for value in scored.stats[:3])
    if mean < 0:
        raise UsageError(
            f"{truth.source}: there is nothing to find in these {len(truth.images)} images",
            "average precision is not defined; score images that show objects",
        )
    name = _FIELDS[kind]
    return {name: mean, f"{name}50": at50, f"{name}75": at75}


def _indexed(document: dict[str, Any], engine: Engine) -> Any:
    coco = engine.coco()
    coco.dataset = document
    coco.createIndex()
    return coco
