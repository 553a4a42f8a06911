"""Average precision of detectors, as COCO defines it."""

from compressor.tasks.scores import AveragePrecision
from detection.evaluation.coco_eval import (
    EncodedDetections,
    encode_detections,
    evaluate_detections,
    kinds_of,
    score_detections,
)

__all__ = [
    "AveragePrecision",
    "EncodedDetections",
    "encode_detections",
    "evaluate_detections",
    "kinds_of",
    "score_detections",
]
