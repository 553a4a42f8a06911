"""Libraries that compute COCO's average precision: one interface, the last one is the reference."""

import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from detection.coco.extra import missing, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where one library keeps its classes.

    Attributes:
        package: what must be installed.
        data: module with ``COCO``.
        evaluation: module with the evaluator.
        evaluator: name of the evaluator's class.
        masks: module that encodes masks.
    """

    package: str
    data: str
    evaluation: str
    evaluator: str
    masks: str

    def codes(self) -> ModuleType:
        """Return the module that encodes and decodes masks."""
        return require(self.masks)

    def coco(self) -> Any:
        """Return a new, empty ``COCO``."""
        return require(self.data).COCO()

    def evaluate(self, truth: Any, found: Any, kind: str) -> Any:
        """Return an evaluator of two ``COCO`` for ``bbox``, ``segm`` or ``keypoints``."""
        return getattr(require(self.evaluation), self.evaluator)(truth, found, kind)


ENGINES = (
    Engine(
        package="faster_coco_eval",
        data="faster_coco_eval.core.coco",
        evaluation="faster_coco_eval.core.faster_eval_api",
        evaluator="COCOeval_faster",
        masks="faster_coco_eval.core.mask",
    ),
    Engine(
        package="pycocotools",
        data="pycocotools.coco",
        evaluation="pycocotools.cocoeval",
        evaluator="COCOeval",
        masks="pycocotools.mask",
    ),
)


def installed_engine() -> Engine:
    """Return the first engine that is installed: the fast one, or else the reference.

    Raises:
        BackendMissingError: there is none.
    """
    for engine in ENGINES:
        if importlib.util.find_spec(engine.package) is not None:
            return engine
    raise missing(ENGINES[-1].package, "it is not installed")
