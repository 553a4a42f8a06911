"""COCO-format data sets for detectors: files in, three splits of images with targets out.

The validation split chooses the best epoch, so it is held out of the source's *train*; the source's own
validation split (val2017) is our *test*, only ever reported, and what users mean by ``val``. The one held out
is drawn with a seed of its own, not the recipe's, so that every command holds out the same images.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import UsageError
from compressor.data.sources import require_argument
from detection.coco.batches import DetectionBatch
from detection.coco.categories import CategoryMap, check_same_categories, map_categories
from detection.coco.dataset import CocoSet
from detection.coco.extra import require
from detection.coco.layout import Finds, SplitFiles, check_images, find_split
from detection.coco.records import CategoryRecord, Document, read_document
from detection.coco.targets import counterparts
from detection.coco.truth import GroundTruth, check_findable, ground_truth, is_trainable

__all__ = ["CategoryMap", "CocoSet", "CocoSplits", "DetectionBatch", "Finds", "GroundTruth", "open_coco"]

_VALIDATION_SHARE = 0.1
_VALIDATION_SEED = 0
_COCO_POINTS = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoSplits:
    """A COCO-format data set, ready for one model.

    Attributes:
        name: what to call it in reports.
        spec: what the user typed.
        task: what the targets hold.
        categories: what the model's class numbers mean.
        train: images to learn from, all with objects.
        val: held out of the source's train split; chooses the best epoch.
        test: the source's own validation split; only reported.
        summary: sizes, and what was left out of training and why, in words.
    """

    name: str
    spec: str
    task: Finds
    categories: CategoryMap
    train: CocoSet
    val: CocoSet
    test: CocoSet
    summary: str

    @property
    def classes(self) -> int:
        """Outputs that a model needs, background included."""
        return self.categories.classes

    @property
    def synthetic(self) -> bool:
        """Never: images come from files."""
        return False


def open_coco(argument: str, task: Finds, *, classes: int | None = None) -> CocoSplits:
    """Open the data set in a folder: what stands after the colon of ``coco:DIR``.

    Images may be gray or have an alpha channel; they are read as colour. Crowds are left out of training and
    count as COCO's evaluation defines.

    Args:
        argument: the folder; ``detection.coco.layout`` says which layouts are known.
        task: ``boxes``, ``masks`` or ``keypoints`` (persons with COCO's 17 points).
        classes: outputs of the model, background included; None asks for as many as needed.

    Raises:
        UsageError: a file is missing or malformed, the categories do not fit the model or differ between the
            splits, or a split has nothing to learn from or to find.
        BackendMissingError: masks are asked for and pycocotools is not installed.
    """
    if task == "masks":
        require("pycocotools.mask")
    root = Path(require_argument(argument, "coco:DIR"))
    files = find_split(root, "train", task), find_split(root, "test", task)
    learned, tested = (_read(file, task) for file in files)
    categories = map_categories(learned.categories, classes=classes, where=files[0].annotations)
    check_same_categories(learned.categories, tested.categories, where=files[1].annotations)
    everything, dropped = _open(files[0], learned, categories, task)
    test, dropped_of_test = _open(files[1], tested, categories, task)
    positions, held_out = _hold_out(len(everything), everything.truth.source)
    candidates, val = _select(everything, positions), _select(everything, held_out)
    train = _trainable(candidates)
    for split, found in (("val", val), ("test", test)):
        check_findable(found.truth, task, split)
    dropped["images without anything to learn from"] = len(candidates) - len(train)
    dropped["crowds"] = _crowds(candidates.truth)
    return CocoSplits(
        name=root.resolve().name,
        spec=f"coco:{argument}",
        task=task,
        categories=categories,
        train=train,
        val=val,
        test=test,
        summary=f"{len(train)} images to learn from, {len(val)} to validate, {len(test)} to test; "
        f"{_categories(len(categories.ids))}. Left out of train: {_listed(dropped)}; of test: "
        f"{_listed(dropped_of_test)}.",
    )


def _read(files: SplitFiles, task: Finds) -> Document:
    document = read_document(files.annotations)
    check_images(files.images, document.images)
    if task == "keypoints":
        _check_persons(document.categories, files.annotations)
    return document


def _check_persons(categories: tuple[CategoryRecord, ...], where: Path) -> None:
    if len(categories) != 1 or len(categories[0].keypoints) != _COCO_POINTS:
        found = ", ".join(f"{entry.name} ({len(entry.keypoints)} points)" for entry in categories)
        raise UsageError(
            f"{where}: categories are {found or 'missing'}",
            f"keypoint models take one category, person, with the names of COCO's {_COCO_POINTS} points",
        )


def _open(
    files: SplitFiles, document: Document, categories: CategoryMap, task: Finds
) -> tuple[CocoSet, Counter[str]]:
    truth, dropped = ground_truth(document, categories, task, files.annotations)
    opened = CocoSet(
        folder=files.images,
        truth=truth,
        indices=np.arange(len(truth.images), dtype=np.int64),
        stored=len(truth.images),
        task=task,
        swap=counterparts(document.categories[0]) if task == "keypoints" else (),
    )
    return opened, dropped


def _select(images: CocoSet, positions: NDArray[np.int64]) -> CocoSet:
    records = tuple(images.truth.images[position] for position in positions)
    return replace(images, truth=replace(images.truth, images=records), indices=images.indices[positions])


def _trainable(images: CocoSet) -> CocoSet:
    kept = [is_trainable(images.truth, image, images.task) for image in images.truth.images]
    if not any(kept):
        raise UsageError(
            f"{images.truth.source}: none of {len(kept)} images to learn from shows anything to learn",
            "training takes objects that are no crowds, for keypoints ten labelled points in an image",
        )
    return _select(images, np.flatnonzero(kept).astype(np.int64))


def _hold_out(images: int, where: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split positions 0..images-1 into (learned from, held out), both in increasing order."""
    if images < 2:
        raise UsageError(
            f"{where}: {images} training images cannot be split into training and validation",
            "give the training split at least two images",
        )
    held_out = max(1, round(_VALIDATION_SHARE * images))
    order = np.random.default_rng(_VALIDATION_SEED).permutation(images).astype(np.int64)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def _crowds(truth: GroundTruth) -> int:
    return sum(len(truth.of(image)) - len(truth.learnable(image)) for image in truth.images)


def _listed(counts: Counter[str]) -> str:
    said: Iterable[str] = (f"{count} {what}" for what, count in counts.items() if count)
    return ", ".join(said) or "nothing"


def _categories(count: int) -> str:
    return f"{count} {'category' if count == 1 else 'categories'}"
