"""Small data sets in COCO's format: real image files, rectangles as objects."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((64, 48), (48, 64), (80, 40), (56, 56))  # width, height
POINTS = [
    "nose",
    *(
        f"{side}_{part}"
        for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
]
OWN = ({"id": 3, "name": "cup"}, {"id": 7, "name": "plate"})
PERSON = ({"id": 1, "name": "person", "keypoints": POINTS},)

Edit = Callable[[dict], None]


def write_coco(
    folder: Path,
    *,
    images: int = 12,
    test_images: int = 4,
    objects: int = 2,
    categories: tuple[dict, ...] = OWN,
    keypoints: bool = False,
    names: tuple[str, str] = ("train2017", "val2017"),
    edit: Edit | None = None,
    edit_test: Edit | None = None,
) -> Path:
    """Write a data set in the official layout into ``folder`` and return it.

    Args:
        folder: where to; made if it does not exist.
        images: in the train split.
        test_images: in the source's validation split.
        objects: in every image.
        categories: used in turn.
        keypoints: write persons with 17 points instead; ``categories`` is then PERSON.
        names: of the two splits.
        edit: changes the train annotations before they are written.
        edit_test: changes those of the source's validation split.
    """
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    prefix = "person_keypoints" if keypoints else "instances"
    categories = PERSON if keypoints else categories
    for seed, (name, count, change) in enumerate(
        zip(names, (images, test_images), (edit, edit_test), strict=True)
    ):
        generator = np.random.default_rng(seed)
        document = _document(generator, count, objects, categories)
        _write_images(generator, folder / name, document)
        if change:
            change(document)
        (folder / "annotations" / f"{prefix}_{name}.json").write_text(json.dumps(document))
    return folder


def _document(generator: np.random.Generator, count: int, objects: int, categories: tuple[dict, ...]) -> dict:
    images, annotations = [], []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        images.append({"id": 100 + number, "file_name": f"{number:03}.png", "width": width, "height": height})
        for _ in range(objects):
            category = categories[len(annotations) % len(categories)]
            annotations.append(
                {
                    "id": len(annotations),  # from 0, which COCO's tools stumble over
                    "image_id": 100 + number,
                    "category_id": category["id"],
                    **_rectangle(generator, width, height),
                }
            )
            if "keypoints" in category:
                annotations[-1] |= _points(generator, annotations[-1]["bbox"])
    return {"images": images, "annotations": annotations, "categories": copy.deepcopy(list(categories))}


def _rectangle(generator: np.random.Generator, width: int, height: int) -> dict:
    left, top = int(generator.integers(0, width // 2)), int(generator.integers(0, height // 2))
    w, h = int(generator.integers(8, width // 2)), int(generator.integers(8, height // 2))
    corners = [left, top, left + w, top, left + w, top + h, left, top + h]
    return {"bbox": [left, top, w, h], "area": w * h, "iscrowd": 0, "segmentation": [corners]}


def _points(generator: np.random.Generator, bbox: list[int]) -> dict:
    left, top, width, height = bbox
    flat: list[int] = []
    for number in range(len(POINTS)):
        if number % 5 == 4:
            flat += [0, 0, 0]
        else:
            flat += [
                left + int(generator.integers(0, width)),
                top + int(generator.integers(0, height)),
                1 + number % 2,
            ]
    return {"keypoints": flat, "num_keypoints": sum(v > 0 for v in flat[2::3])}


def _write_images(generator: np.random.Generator, folder: Path, document: dict) -> None:
    folder.mkdir()
    for image in document["images"]:
        pixels = generator.integers(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / image["file_name"])
