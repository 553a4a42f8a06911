"""Sensitivity: which groups can give channels, measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.report.facts import Facts, GroupStudy, Sensitivity
from bench.report.kinds import RESULTS, Json
from compressor.base.documents import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dense:
    quality: float
    macs: int
    params: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    rate: float
    kept: int
    quality: float
    macs: int
    params: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    name: str
    size: int
    loss_per_macs: float | None
    points: tuple[_Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    model: str
    weights: str
    method: str
    data: str
    split: str
    images: int
    synthetic: bool
    caution: str | None
    dense: _Dense
    groups: tuple[_Group, ...]
    most_sensitive_first: tuple[str, ...]


class InspectionKind:
    """What ``compress inspect`` prints."""

    made_by: ClassVar[str] = "compress inspect --json"

    def claims(self, document: Json) -> bool:
        """Say whether groups were studied."""
        return {"groups", "most_sensitive_first", "dense"} <= document.keys()

    def facts(self, document: Json, where: Path) -> Facts:
        """Return the study."""
        given = {name: value for name, value in document.items() if name not in ("schema_version", "kind")}
        read = decode(_Document, given, str(where))
        study = Sensitivity(
            model=read.model, method=read.method, data=f"{read.data}, {read.split}, {read.images} images",
            quality=read.dense.quality, synthetic=read.synthetic, groups=tuple(map(_studied, read.groups)),
        )  # fmt: skip
        return Facts(sensitivities=(study,))


def _studied(group: _Group) -> GroupStudy:
    points = tuple((point.rate, point.quality) for point in group.points)
    return GroupStudy(group=group.name, size=group.size, points=points, loss_per_macs=group.loss_per_macs)


INSPECTION = RESULTS.register("inspect")(InspectionKind())
