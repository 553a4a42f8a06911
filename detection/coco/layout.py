"""Where a COCO-format data set keeps its files.

Known are the official layout (``annotations/instances_train2017.json`` and ``train2017/``), the same with
images below ``images/``, and one folder per split with ``_annotations.coco.json`` beside the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compressor.base.errors import UsageError
from detection.coco.records import ImageRecord

Finds = Literal["boxes", "masks", "keypoints"]

_SPLITS = {"train": ("train2017", "train2014", "train"), "test": ("val2017", "val2014", "val", "valid")}
_PREFIXES: dict[Finds, str] = {
    "boxes": "instances",
    "masks": "instances",
    "keypoints": "person_keypoints",
}
_ANNOTATIONS = (
    "annotations/{prefix}_{name}.json",
    "annotations/{name}.json",
    "{name}/_annotations.coco.json",
)
_IMAGES = ("{name}", "images/{name}", "images")
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFiles:
    """Files of one stored split: the annotation file and the folder of its images."""

    annotations: Path
    images: Path


def find_split(root: Path, split: Literal["train", "test"], task: Finds) -> SplitFiles:
    """Find the files of a split; the source's validation split is our *test*.

    Raises:
        UsageError: the folder, the annotation file or the folder of images is missing; the message says what
            was looked for.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}", "write the data as coco:DIR, with an existing folder")
    looked_for = []
    for name in _SPLITS[split]:
        for pattern in _ANNOTATIONS:
            relative = pattern.format(prefix=_PREFIXES[task], name=name)
            if (root / relative).is_file():
                return SplitFiles(annotations=root / relative, images=_image_folder(root, name))
            looked_for.append(relative)
    raise UsageError(
        f"{root} has no annotations for split {split} and task {task}",
        f"looked for {', '.join(dict.fromkeys(looked_for))}",
    )


def check_images(folder: Path, images: Sequence[ImageRecord]) -> None:
    """Refuse a split whose images are not all there.

    Raises:
        UsageError: naming up to three absent files, and how many there are.
    """
    absent = [image.file_name for image in images if not (folder / image.file_name).is_file()]
    if absent:
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        raise UsageError(
            f"{folder}: {len(absent)} of {len(images)} images are missing: "
            f"{', '.join(absent[:_NAMED])}{more}",
            "restore the files, or take the images out of the annotation file",
        )


def _image_folder(root: Path, name: str) -> Path:
    candidates = [root / pattern.format(name=name) for pattern in _IMAGES]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise UsageError(
        f"{root} has annotations for {name}, but no folder with its images",
        f"looked for {', '.join(str(folder.relative_to(root)) for folder in candidates)}",
    )
