"""COCO annotation files, validated as they are read.

The format (https://cocodataset.org/#format-data): a JSON object with ``images``, ``annotations`` and
``categories``. A box is left, top, width, height in pixels; an outline is a list of polygons (x, y, x, y ...)
or a run-length code, column by column; a keypoint is x, y, visibility (0 not labelled, 1 hidden, 2 visible).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from compressor.base.errors import UsageError
from compressor.base.text import foreign

Number = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)]
"""A coordinate in pixels: native code fills polygons and trusts its caller."""
Area = Annotated[float, Field(ge=-1e14, le=1e14, allow_inf_nan=False)]
Side = Annotated[int, Field(gt=0, le=100_000)]
Count = Annotated[int, Field(ge=-(2**40), le=2**40)]
Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What fits into 64 bits, as the COCO libraries keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengths:
    """A mask as run lengths of zeros and ones in turn, down the columns.

    Attributes:
        size: height and width of the image.
        counts: the lengths, or pycocotools' compressed text of them.
    """

    size: tuple[Side, Side]
    counts: list[Count] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One entry of ``images``; sizes in pixels."""

    id: Id
    file_name: str
    width: Side
    height: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """One entry of ``annotations``: an object, or a crowd of objects that nobody told apart.

    Attributes:
        id: the annotation's own number, for messages.
        image_id: the image that shows it.
        category_id: what it is.
        bbox: left, top, width, height in pixels.
        area: of the object in square pixels; None where the file does not say.
        iscrowd: 1 for a crowd, else 0.
        segmentation: outline; None or empty where there is none.
        keypoints: x, y, visibility of every point in turn; None where there are none.
        num_keypoints: how many points are labelled; None where the file does not say.
    """

    id: Id
    image_id: Id
    category_id: Id
    bbox: tuple[Number, Number, Number, Number]
    area: Area | None = None
    iscrowd: int = 0
    segmentation: list[list[Number]] | RunLengths | None = None
    keypoints: list[Number] | None = None
    num_keypoints: int | None = None

    @property
    def box_area(self) -> float:
        """Area as stored, or else that of the box, in square pixels."""
        return self.bbox[2] * self.bbox[3] if self.area is None else self.area

    @property
    def labelled_points(self) -> int:
        """Number of keypoints that are labelled, visible or hidden."""
        return sum(visibility > 0 for visibility in (self.keypoints or ())[2::3])


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRecord:
    """One entry of ``categories``; ``keypoints`` names its points, if it has any."""

    id: Id
    name: str
    keypoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An annotation file: every object belongs to one of its images and one of its categories."""

    images: tuple[ImageRecord, ...]
    annotations: tuple[ObjectRecord, ...]
    categories: tuple[CategoryRecord, ...]


def read_document(path: Path) -> Document:
    """Read and check the annotation file at ``path``.

    Raises:
        UsageError: it cannot be read, is no JSON, lacks a field or has one of the wrong type, numbers two
            images or categories alike, or has an object of an unknown image or category.
    """
    try:
        document = TypeAdapter(Document).validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror or error}", "check the file's permissions"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise UsageError(
            f"{path}: {foreign(place)}: {foreign(first['msg'])}",
            "the file is cut short, damaged, or not in COCO's object detection format",
        ) from error
    _check_unique(path, "image", (image.id for image in document.images))
    _check_unique(path, "category", (category.id for category in document.categories))
    _check_references(path, document)
    return document


def _check_unique(path: Path, what: str, ids: Iterable[int]) -> None:
    twice = [number for number, count in Counter(ids).items() if count > 1]
    if twice:
        raise UsageError(f"{path}: {what} id {twice[0]} occurs twice", f"give every {what} an id of its own")


def _check_references(path: Path, document: Document) -> None:
    images = {image.id for image in document.images}
    categories = {category.id for category in document.categories}
    for found in document.annotations:
        if found.image_id not in images:
            raise UsageError(
                f"{path}: annotation {found.id} is of image {found.image_id}, which is not in 'images'",
                "add the image or delete the annotation",
            )
        if found.category_id not in categories:
            raise UsageError(
                f"{path}: annotation {found.id} is of category {found.category_id}, "
                "which is not in 'categories'",
                f"known ids: {', '.join(map(str, sorted(categories)[:20])) or 'none'}",
            )
