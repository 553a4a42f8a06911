"""What a detector should find: images of one split with their objects, and what was left out."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from compressor.base.errors import UsageError
from detection.coco.categories import CategoryMap
from detection.coco.layout import Finds
from detection.coco.outlines import covers, misfit, polygons_of
from detection.coco.records import Document, ImageRecord, ObjectRecord, RunLengths

_POINT = 3  # x, y, visibility
_FEWEST_POINTS = 10

NO_AREA = "boxes without area inside their image"
NO_OUTLINE = "objects without an outline"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundTruth:
    """Images and the objects in them, crowds included.

    Attributes:
        source: the annotation file, for messages.
        images: in increasing order of id.
        objects: by image id; an image without objects has no entry.
        categories: what the model's class numbers mean.
    """

    source: Path
    images: tuple[ImageRecord, ...]
    objects: Mapping[int, tuple[ObjectRecord, ...]]
    categories: CategoryMap

    def only(self, image_ids: Collection[int]) -> "GroundTruth":
        """Return the same for some of the images; ids that it does not have are ignored."""
        wanted = frozenset(image_ids)
        return replace(self, images=tuple(image for image in self.images if image.id in wanted))

    def of(self, image: ImageRecord) -> tuple[ObjectRecord, ...]:
        """Return everything annotated in an image, crowds included."""
        return self.objects.get(image.id, ())

    def learnable(self, image: ImageRecord) -> tuple[ObjectRecord, ...]:
        """Return the objects that a detector is trained on: all but crowds."""
        return tuple(found for found in self.of(image) if not found.iscrowd)


def ground_truth(
    document: Document, categories: CategoryMap, task: Finds, source: Path
) -> tuple[GroundTruth, Counter[str]]:
    """Return the objects fit for ``task``, and how many were left out for which reason.

    Boxes without area inside their image are no objects for any tool and are left out everywhere, as are
    objects without an outline where masks are asked for.

    Raises:
        UsageError: there are no images or nothing to find, an outline does not fit its image, or a list of
            keypoints is too short or too long.
    """
    images = {image.id: image for image in document.images}
    dropped: Counter[str] = Counter()
    objects: defaultdict[int, list[ObjectRecord]] = defaultdict(list)
    points = max((len(category.keypoints) for category in document.categories), default=0)
    for found in document.annotations:
        image = images[found.image_id]
        fit = _with_outline(found, image, source) if task == "masks" else found
        if task == "keypoints":
            _check_keypoints(found, points, source)
        if clipped(found, image) is None:
            dropped[NO_AREA] += 1
        elif fit is None:
            dropped[NO_OUTLINE] += 1
        else:
            objects[image.id].append(fit)
    truth = GroundTruth(
        source=source,
        images=tuple(sorted(document.images, key=lambda image: image.id)),
        objects={image_id: tuple(found) for image_id, found in objects.items()},
        categories=categories,
    )
    return truth, dropped


def clipped(found: ObjectRecord, image: ImageRecord) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom of a box inside its image; None where nothing of it is inside."""
    left, top, width, height = found.bbox
    if width <= 0 or height <= 0:
        return None
    right, bottom = min(left + width, image.width), min(top + height, image.height)
    left, top = max(left, 0.0), max(top, 0.0)
    return (left, top, right, bottom) if right > left and bottom > top else None


def is_trainable(truth: GroundTruth, image: ImageRecord, task: Finds) -> bool:
    """Say whether a detector can learn from an image.

    There must be an object that is no crowd; for keypoints, images with fewer than ten labelled points in all
    are left out, as in torchvision's reference training.
    """
    objects = truth.learnable(image)
    if task == "keypoints":
        return sum(found.labelled_points for found in objects) >= _FEWEST_POINTS
    return bool(objects)


def check_findable(truth: GroundTruth, task: Finds, split: str) -> None:
    """Refuse a split in which there is nothing to find: average precision would be undefined.

    Raises:
        UsageError: it has no images, or no object that is no crowd (for keypoints: none with points).
    """
    what = "person with labelled keypoints" if task == "keypoints" else "object"
    for image in truth.images:
        for found in truth.learnable(image):
            if task != "keypoints" or found.labelled_points:
                return
    raise UsageError(
        f"{truth.source}: none of the {len(truth.images)} images of split {split} shows a single {what}",
        "average precision needs something to find; use more images, or check the annotations",
    )


def _with_outline(found: ObjectRecord, image: ImageRecord, source: Path) -> ObjectRecord | None:
    outline = found.segmentation
    if isinstance(outline, RunLengths):
        if not covers(outline, image):
            raise UsageError(
                f"{source}: the run lengths of annotation {found.id} do not cover image {image.id} exactly, "
                f"which is {image.height}x{image.width} (height x width)",
                "mend or delete the annotation",
            )
        return found
    polygons = polygons_of(outline)
    why = misfit(polygons, image)
    if why:
        raise UsageError(
            f"{source}: the outline of annotation {found.id} {why} (image {image.id})",
            "mend or delete the annotation, or the size of its image",
        )
    return replace(found, segmentation=polygons) if polygons else None


def _check_keypoints(found: ObjectRecord, points: int, source: Path) -> None:
    if found.keypoints is not None and len(found.keypoints) != points * _POINT:
        raise UsageError(
            f"{source}: annotation {found.id} has {len(found.keypoints)} numbers for keypoints, "
            f"but {points} points take {points * _POINT}",
            "every point is x, y, visibility",
        )
