"""Ground truth and detections in the form that the COCO libraries take."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from compressor.base.errors import UsageError
from detection.coco.outlines import outline_of
from detection.coco.records import ObjectRecord
from detection.coco.truth import GroundTruth
from detection.evaluation.engines import Engine
from detection.types import Detections

Kind = Literal["bbox", "segm", "keypoints"]
Results: TypeAlias = list[dict[str, Any]]


def truth_document(truth: GroundTruth, kind: Kind) -> dict[str, Any]:
    """Return the annotation file of a split, written anew.

    Annotations are numbered from 1: the libraries take number 0 for "not matched".
    """
    objects = [found for image in truth.images for found in truth.of(image)]
    return {
        "info": {},
        "images": [{"id": image.id, "height": image.height, "width": image.width} for image in truth.images],
        "categories": [
            {"id": number, "name": name}
            for number, name in zip(truth.categories.ids, truth.categories.names, strict=True)
        ],
        "annotations": [
            {"id": number, **_annotation(found, kind)} for number, found in enumerate(objects, start=1)
        ],
    }


def results_of(found: Detections, kind: Kind, truth: GroundTruth, image_id: int, engine: Engine) -> Results:
    """Return one entry per detection whose class the data set has, in the format of COCO's results files.

    Raises:
        UsageError: the detections have no masks or keypoints, and ``kind`` asks for them.
    """
    return [
        {"image_id": image_id, "category_id": category, "score": float(score), **shape}
        for label, score, shape in zip(
            found.labels.tolist(), found.scores.tolist(), _SHAPES[kind](found, engine), strict=True
        )
        if (category := truth.categories.category_id(label)) is not None
    ]


def _annotation(found: ObjectRecord, kind: Kind) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "image_id": found.image_id,
        "category_id": found.category_id,
        "bbox": list(found.bbox),
        "area": found.box_area,
        "iscrowd": found.iscrowd,
    }
    if kind == "segm":
        entry["segmentation"] = outline_of(found)
    if kind == "keypoints":
        entry["keypoints"] = found.keypoints
        points = found.num_keypoints
        entry["num_keypoints"] = found.labelled_points if points is None else points
    return entry


def _boxes(found: Detections, _: Engine) -> Results:
    corners = found.boxes.astype(np.float64)
    sizes = corners[:, 2:] - corners[:, :2]
    return [
        {"bbox": [*corner, *size]}
        for corner, size in zip(corners[:, :2].tolist(), sizes.tolist(), strict=True)
    ]


def _masks(found: Detections, engine: Engine) -> Results:
    if found.masks is None:
        raise UsageError("the detections have no masks", "score boxes only, or use a mask model")
    pixels = np.asfortranarray(found.masks.transpose(1, 2, 0).astype(np.uint8))
    codes = engine.codes().encode(pixels) if len(found) else []
    return [{"segmentation": {"size": list(c["size"]), "counts": _text(c["counts"])}} for c in codes]


def _keypoints(found: Detections, _: Engine) -> Results:
    if found.keypoints is None:
        raise UsageError("the detections have no keypoints", "score boxes only, or use a keypoint model")
    return [{"keypoints": points.ravel().tolist()} for points in found.keypoints.astype(np.float64)]


_SHAPES: dict[Kind, Callable[[Detections, Engine], Results]] = {
    "bbox": _boxes,
    "segm": _masks,
    "keypoints": _keypoints,
}


def _text(counts: bytes | str) -> str:
    return counts if isinstance(counts, str) else counts.decode("ascii")
