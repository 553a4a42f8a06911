"""Which layers must stay float, so that accuracy falls by no more than a limit?

Layers are ranked by the damage that quantising each of them *alone* does to the outputs on calibration
images, as a signal-to-quantisation-noise ratio

    SQNR = 10 log10( sum y^2 / sum (y - q)^2 )  dB,

with y the fp32 outputs and q the quantised ones. The worst k of them stay float; the smallest k that keeps
accuracy is found by bisection, with the accuracy measured on real files. That takes about log2(layers)
measurements, and k is the smallest along this ranking, not over all subsets.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log10
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir
from onnxruntime.quantization import TensorsData

from compressor.base.errors import ParityError, UsageError
from compressor.base.files import temporary_folder
from export.backends import BACKENDS, Array, SessionOptions
from export.onnx_files import require_free, write_onnx
from export.precision.calibration import Feeds, feed_of
from export.precision.files import read_graph
from export.precision.int8 import Int8Settings, Subject
from export.precision.regions import label_of
from export.precision.share import PrecisionReport, precision_report

AccuracyOf = Callable[[Path], float]
"""Accuracy of an ONNX file in percent, on the validation split."""

Progress = Callable[[str, int, int], None]

_ALL: Final = Int8Settings(keep_ends=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDamage:
    """What quantising one layer alone does.

    Attributes:
        layer: the module.
        sqnr_db: outputs against their error, in decibels; infinite where nothing changes.
    """

    layer: str
    sqnr_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoReport:
    """What was found.

    Attributes:
        precision: the written file.
        ranking: all layers, the most damaging first.
        kept_float: the layers that stay float, the most damaging first.
        fp32_score: accuracy of the source, in percent.
        int8_score: accuracy of the written file, in percent.
        limit: percentage points that were allowed.
        scored: files whose accuracy was measured, the source included.
    """

    precision: PrecisionReport
    ranking: tuple[LayerDamage, ...]
    kept_float: tuple[str, ...]
    fp32_score: float
    int8_score: float
    limit: float
    scored: int


def int8_auto(
    source: Path,
    target: Path,
    calibration: Iterable[Feeds],
    score: AccuracyOf,
    limit: float,
    *,
    settings: Int8Settings = _ALL,
    progress: Progress = lambda what, done, total: None,
) -> AutoReport:
    """Write ``source`` with as many layers in int8 to ``target`` as accuracy allows.

    Args:
        source: an fp32 ONNX file.
        target: the file to write.
        calibration: images of the training split; the first batch also ranks the layers.
        score: accuracy on the validation split, in percent.
        limit: percentage points that accuracy may fall.
        settings: runtime and calibration; ``keep_ends`` is off unless asked for, accuracy decides.
        progress: called with what is done, how far, and out of how many.

    Raises:
        UsageError: a file, the images or the limit make no sense.
        ParityError: accuracy falls too far even with a single layer in int8; nothing is written.
    """
    if not (isfinite(limit) and limit >= 0):
        raise UsageError(f"the accuracy limit is {limit}", "give percentage points from 0, for instance 0.5.")
    require_free(target)
    first, batches = _peeked(calibration)
    subject = Subject.read(source, settings)
    ranges = subject.calibrated(batches)
    with temporary_folder(target.parent) as folder:
        ranking = _ranked(subject, ranges, first, folder / target.name, progress)
        order = tuple(node for node, _ in ranking)
        trials = _Trials(subject, ranges, order, folder, score, progress)
        fp32 = score(source)
        kept = _fewest(trials, fp32 - limit)
        if kept is None:
            raise _impossible(fp32, limit, trials.scores)
        write_onnx(read_graph(trials.file(kept)), target)
    return AutoReport(
        precision=precision_report(target, "int8"),
        ranking=tuple(LayerDamage(layer=label_of(node), sqnr_db=db) for node, db in ranking),
        kept_float=tuple(label_of(node) for node in order[:kept]),
        fp32_score=fp32,
        int8_score=trials.scores[kept],
        limit=limit,
        scored=len(trials.scores) + 1,
    )


def sqnr_db(expected: Sequence[Array], found: Sequence[Array]) -> float:
    """Return the signal-to-quantisation-noise ratio over all outputs, in decibels."""
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(expected, found, strict=True)
    ]
    signal = sum(float(np.square(a).sum()) for a, _ in pairs)
    noise = sum(float(np.square(a - b).sum()) for a, b in pairs)
    if noise == 0:
        return inf
    return 10 * log10(signal / noise) if signal > 0 else -inf


@dataclass(slots=True)
class _Trials:
    """Files in which the first k layers of ``order`` stay float, and their accuracy."""

    subject: Subject
    ranges: TensorsData
    order: tuple[ir.Node, ...]
    folder: Path
    score: AccuracyOf
    progress: Progress
    scores: dict[int, float] = field(default_factory=dict)

    def file(self, kept: int) -> Path:
        return self.folder / f"{kept}.onnx"

    def accuracy(self, kept: int) -> float:
        self.subject.write(self.file(kept), self.order[kept:], self.ranges)
        self.scores[kept] = self.score(self.file(kept))
        self.progress("accuracy", len(self.scores), len(self.order).bit_length() + 1)
        return self.scores[kept]


def _fewest(trials: _Trials, floor: float) -> int | None:
    """Return the smallest number of float layers that reaches ``floor``; None if all would have to be."""
    if trials.accuracy(0) >= floor:
        return 0
    low, high = 0, len(trials.order)
    while high - low > 1:
        middle = (low + high) // 2
        if trials.accuracy(middle) >= floor:
            high = middle
        else:
            low = middle
    return high if high in trials.scores else None


def _ranked(
    subject: Subject, ranges: TensorsData, arrays: Feeds, draft: Path, progress: Progress
) -> list[tuple[ir.Node, float]]:
    """Return layers with the SQNR of quantising each alone, the most damaging first."""
    expected = _outputs(subject.source, arrays)
    found = []
    for done, layer in enumerate(subject.layers, start=1):
        subject.write(draft, [layer], ranges)
        found.append((layer, sqnr_db(expected, _outputs(draft, arrays))))
        draft.unlink()
        progress("ranking layers", done, len(subject.layers))
    return sorted(found, key=lambda entry: entry[1])


def _outputs(path: Path, arrays: Feeds) -> list[Array]:
    with BACKENDS.get("onnxruntime").open(path, SessionOptions()) as session:
        return list(session.run(feed_of(session.input_names, arrays)).values())


def _peeked(batches: Iterable[Feeds]) -> tuple[Feeds, Iterable[Feeds]]:
    """Return the first batch, and all of them."""
    stream = iter(batches)
    try:
        first = next(stream)
    except StopIteration:
        raise UsageError("there is no image to calibrate with", "give at least one batch.") from None
    return first, itertools.chain([first], stream)


def _impossible(fp32: float, limit: float, scores: Mapping[int, float]) -> ParityError:
    best = max(scores.values())
    return ParityError(
        f"no share of int8 layers stays within {limit:g} points of {fp32:.2f} %: the best of {len(scores)}"
        f" files that were scored reaches {best:.2f} %",
        "allow more, calibrate with more images or another method, or deploy fp16.",
    )
