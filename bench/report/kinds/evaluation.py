"""Scores of a model on a data set."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from bench.report.facts import Facts, Scored
from bench.report.kinds import RESULTS, Json
from compressor.base.documents import decode
from compressor.tasks.scores import Accuracy, AveragePrecision, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    model: str
    data: str
    split: str
    synthetic: bool
    caution: str | None = None


class EvaluationKind:
    """What ``compress eval`` prints."""

    made_by: ClassVar[str] = "compress eval --json"

    def claims(self, document: Json) -> bool:
        """Say whether one model was scored."""
        return {
            "model",
            "data",
            "split",
            "synthetic",
            "images",
        } <= document.keys() and "groups" not in document

    def facts(self, document: Json, where: Path) -> Facts:
        """Return the score."""
        given = {name: value for name, value in document.items() if name not in ("schema_version", "kind")}
        head = decode(_Head, {n: v for n, v in given.items() if n in _Head.__slots__}, str(where))
        rest = {name: value for name, value in given.items() if name not in _Head.__slots__}
        kind: Any = Accuracy if "top1" in rest else AveragePrecision
        found = scored(head.model, head.data, head.split, decode(kind, rest, str(where)))
        return Facts(scores=(replace(found, synthetic=head.synthetic),))


def scored(model: str, data: str, split: str, score: Score) -> Scored:
    """Return the fact of a score."""
    return Scored(
        model=model, metric=_metric(score), data=data, split=split, quality=score.quality,
        words=score.describe(), images=score.images,
    )  # fmt: skip


def _metric(score: Score) -> str:
    if isinstance(score, Accuracy):
        return "top-1"
    parts = {"keypoint": score.keypoint, "mask": score.mask, "box": score.box}
    return next((f"{name} AP" for name, value in parts.items() if value is not None), "AP")


EVALUATION = RESULTS.register("eval")(EvaluationKind())
