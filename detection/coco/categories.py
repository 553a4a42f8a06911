"""Category ids of a data set against class numbers of a model.

Torchvision's detectors number their classes by COCO's category ids: 80 categories between 1 and 90, hence 91
outputs with the background. Every other data set counts 1, 2, 3 ... in the order of its ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compressor.base.errors import UsageError
from detection.coco.records import CategoryRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryMap:
    """Which class number of the model means which category of the data set; 0 is the background.

    Attributes:
        ids: category ids, increasing.
        labels: the class number of each, 1 or more.
        names: the name of each.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def classes(self) -> int:
        """Outputs that a model needs, background included."""
        return max(self.labels) + 1

    def label(self, category_id: int) -> int:
        """Return the class number of a category of the data set."""
        return self.labels[self.ids.index(category_id)]

    def category_id(self, label: int) -> int | None:
        """Return the category that a class number means; None where the data set has no such category."""
        return self.ids[self.labels.index(label)] if label in self.labels else None

    def name(self, label: int) -> str | None:
        """Return the name of what a class number means; None where the data set has no such category."""
        return self.names[self.labels.index(label)] if label in self.labels else None


def map_categories(categories: Sequence[CategoryRecord], *, classes: int | None, where: Path) -> CategoryMap:
    """Number the categories for a model.

    A class number is the category id itself where the categories are COCO's own, by id and name, and the
    model has outputs up to the highest id; otherwise categories count from 1 in the order of their ids.

    Args:
        categories: of the annotation file.
        classes: outputs of the model, background included; None asks for as many as needed.
        where: the file, for messages.

    Raises:
        UsageError: there are no categories, or more than the model has outputs for.
    """
    if not categories:
        raise UsageError(f"{where}: there are no categories", "an annotation file names at least one")
    ordered = sorted(categories, key=lambda category: category.id)
    ids = tuple(category.id for category in ordered)
    keeps_ids = _are_cocos(ordered) and (classes is None or ids[-1] < classes)
    found = CategoryMap(
        ids=ids,
        labels=ids if keeps_ids else tuple(range(1, len(ids) + 1)),
        names=tuple(category.name for category in ordered),
    )
    if classes is not None and found.classes > classes:
        raise UsageError(
            f"{where}: {len(ids)} categories need {found.classes} outputs with the background, "
            f"but the model has {classes}",
            "build the model with more classes, or use fewer categories",
        )
    return found


def check_same_categories(
    learned: Sequence[CategoryRecord], tested: Sequence[CategoryRecord], *, where: Path
) -> None:
    """Refuse a test split that names a category which the train split does not name, or names it otherwise.

    Raises:
        UsageError: naming the first such category.
    """
    known = {category.id: category.name for category in learned}
    for category in tested:
        if known.get(category.id) != category.name:
            other = f"is {known[category.id]!r}" if category.id in known else "does not exist"
            raise UsageError(
                f"{where}: category {category.id} is {category.name!r}, but {other} in the train split",
                "both annotation files need the same categories",
            )


def _are_cocos(categories: Sequence[CategoryRecord]) -> bool:
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names: list[str] = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return all(0 < entry.id < len(names) and names[entry.id] == entry.name for entry in categories)
