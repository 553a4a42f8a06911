"""What ``compress inspect`` does: plan the study, score what is not known yet, print, draw."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

import compressor
from compressor.artifact import Artifact
from compressor.base.documents import Json, encode
from compressor.base.errors import UsageError
from compressor.base.locks import owned
from compressor.base.modules import weights_digest
from compressor.base.text import foreign
from compressor.cli import output
from compressor.cli.criterion import calibration, chosen_criterion
from compressor.cli.inspect_cache import DENSE, Qualities, open_qualities
from compressor.data import DataSplits, ImageSet
from compressor.data.images import IndexedSet
from compressor.inspection.plot import plot_sensitivity
from compressor.inspection.sensitivity import (
    Cut,
    GroupSensitivity,
    Inspection,
    Point,
    QualityOf,
    by_group,
    most_sensitive_first,
    plan_study,
    scored,
)
from compressor.steps.shrink import shrink

_NAMED = 3
"""Groups that are named as the most and the least sensitive ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress inspect``, resolved."""

    source: Artifact
    data: str
    method: str
    options: tuple[str, ...]
    rates: tuple[float, ...]
    groups: tuple[str, ...]
    split: str
    limit: int | None
    output: Path | None
    device: torch.device
    seed: int
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A finished study."""

    data: DataSplits
    images: int
    quality: float
    study: Inspection
    groups: list[GroupSensitivity]


def run(request: Request) -> None:
    """Carry out a request, print its result, and draw it where asked."""
    with owned(request.output) if request.output else nullcontext():
        _show(request, _studied(request))


def _show(request: Request, result: _Result) -> None:
    if request.json:
        output.print_json(_document(request, result))
    else:
        _print(request, result)
    if request.output:
        plot_sensitivity(result.groups, result.quality, _title(request, result), request.output)
        output.say(f"written: {request.output}")


def _studied(request: Request) -> _Result:
    source = request.source
    score = source.task.scoring.score
    data = source.task.data.open(request.data, source.arch.input, source.module)
    images = limited(data.images(request.split), request.limit)
    criterion = chosen_criterion(request.method, request.options, request.seed)
    study = plan_study(
        source.module, source.arch, criterion, request.rates, calibration(data, criterion), request.groups
    )
    beside = request.output.with_suffix(".jsonl") if request.output else None
    qualities = open_qualities(beside, _identity(request, data, len(images)))
    quality, points = _measured(
        source,
        study,
        qualities,
        lambda model: score(model, images, device=request.device).quality,
    )
    return _Result(
        data=data,
        images=len(images),
        quality=quality,
        study=study,
        groups=by_group(points, quality, study.dense),
    )


def limited(images: ImageSet, limit: int | None) -> ImageSet:
    """Return at most ``limit`` images, evenly spaced, so that a set sorted by class keeps all its classes.

    Raises:
        UsageError: the set cannot be cut.
    """
    if limit is None or limit >= len(images):
        return images
    if not isinstance(images, IndexedSet):
        raise UsageError("--limit-images cuts sets of labelled images only", "leave it out.")
    return replace(images, indices=images.indices[np.arange(limit) * len(images) // limit])


def _identity(request: Request, data: DataSplits, images: int) -> Json:
    """Return what a measured quality depends on, apart from the group and the units kept."""
    return {
        "compress": compressor.__version__,
        "model": request.source.arch.name,
        "weights": weights_digest(request.source.module),
        "method": ", ".join([request.method, *request.options]),
        "data": data.name,
        "split": request.split,
        "images": images,
        "seed": request.seed,
    }


def _measured(
    source: Artifact, study: Inspection, qualities: Qualities, score: QualityOf
) -> tuple[float, list[Point]]:
    """Return the quality of the dense model, and all points; what is known is not measured again."""

    def quality(cut: Cut) -> float:
        return qualities.get((cut.group, cut.kept), lambda: score(shrink(source.module, cut.plan)))

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("unpruned", total=len(study.cuts) + 1)
        dense = qualities.get(DENSE, lambda: score(source.module))
        points = []
        for cut in study.cuts:
            bar.update(task, advance=1, description=escape(foreign(f"{cut.group} {cut.rate:.0%}")))
            points.append(scored(cut, quality(cut)))
    return dense, points


def _document(request: Request, result: _Result) -> Json:
    ranked = [group.group for group in most_sensitive_first(result.groups)]
    return {
        "model": request.source.arch.name,
        "weights": request.source.manifest.weights_from,
        "method": ", ".join([request.method, *request.options]),
        "data": result.data.name,
        "split": request.split,
        "images": result.images,
        "synthetic": result.data.synthetic,
        "caution": result.data.caution(request.split),
        "dense": {
            "quality": result.quality,
            "macs": result.study.dense.macs,
            "params": result.study.dense.params,
        },
        "groups": [_group(group) for group in result.groups],
        "most_sensitive_first": ranked,
    }


def _group(group: GroupSensitivity) -> dict[str, Any]:
    points = [
        {name: value for name, value in encode(point).items() if name not in ("group", "size")}
        for point in group.points
    ]
    return {"name": group.group, "size": group.size, "loss_per_macs": group.loss_per_macs, "points": points}


def _title(request: Request, result: _Result) -> str:
    what = ", ".join([request.method, *request.options])
    return f"{request.source.arch.name}, each group pruned alone by {what}, not fine-tuned: " + _scored_on(
        request, result
    )


def _scored_on(request: Request, result: _Result) -> str:
    words = "; synthetic data: quality means nothing" if result.data.synthetic else ""
    return f"{result.images} images of {result.data.name}, {request.split}{words}"


def _print(request: Request, result: _Result) -> None:
    rates = [point.rate for point in result.groups[0].points]
    columns = ("group", "units", *(f"-{rate:.0%}" for rate in rates), f"MACs -{rates[-1]:.0%}", "lost / MACs")
    rows = [_row(group, result.study.dense.macs) for group in result.groups]
    output.show(
        output.table(columns, rows, f"quality in percent; unpruned {result.quality:.2f}"),
        _scored_on(request, result) + f"; weights: {request.source.manifest.weights_from}",
        "MACs: share of the network's that the last rate saves. lost / MACs: points of quality lost per "
        "percent of MACs saved, over all rates.",
    )
    if result.data.caution(request.split):
        output.show(f"note: {result.data.caution(request.split)}")
    ranked = most_sensitive_first(result.groups)
    if len(ranked) > 1:
        named = min(_NAMED, len(ranked) // 2)
        output.show(
            f"most sensitive: {_names(ranked[:named])}",
            f"least sensitive: {_names(ranked[: -named - 1 : -1])}",
        )


def _row(group: GroupSensitivity, macs: int) -> tuple[object, ...]:
    price = "" if group.loss_per_macs is None else f"{group.loss_per_macs:.2f}"
    saved = f"{1 - group.points[-1].macs / macs:.1%}"
    return (group.group, group.size, *(f"{point.quality:.2f}" for point in group.points), saved, price)


def _names(groups: list[GroupSensitivity]) -> str:
    return ", ".join(f"{group.group} ({group.loss_per_macs:.2f})" for group in groups)
