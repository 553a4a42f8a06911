"""How a file is compared with the module that it was made from: one comparison per task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, cast

import numpy as np
from torch import nn

from compressor.errors import ParityError, UsageError
from compressor.types import InputSpec
from export.backends import Array, Session
from export.backends.pytorch import TorchSession
from export.detector_proof import prove_detections
from export.parity import (
    MIN_CASES,
    MIN_CORRELATION,
    PARITY_LIMITS,
    ParityReport,
    compare_on,
    noise_feeds,
    relative_difference,
)
from export.parity_detections import Stages, canvas_noise

Precision = Literal["fp32", "fp16", "int8"]
_ROWS_LIMIT: Final = 0.05  # kernels for large batches may round otherwise, and rounding may move a level
Images = Iterable[Sequence[Array]]


class Comparison(Protocol):
    """Compares a file with the module that it was made from, on images, or on noise where there are none."""

    def __call__(  # noqa: D102  # the class says it
        self, reference: TorchSession, candidate: Session, pair: "Pair", images: Images | None
    ) -> ParityReport: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is compared.

    Attributes:
        file: the exported one.
        inputs: what both take.
        precision: of the file.
        batches: numbers of images in a call at which they are compared.
        exported: the module that was written; of the model itself, or with its widths padded.
    """

    file: Path
    inputs: InputSpec
    precision: Precision
    batches: tuple[int, ...]
    exported: nn.Module


def _logits(reference: TorchSession, candidate: Session, pair: Pair, images: Images | None) -> ParityReport:
    limit, correlation = PARITY_LIMITS[pair.precision], MIN_CORRELATION[pair.precision]
    if images is not None:
        feeds = _served(images, max(pair.batches))
        report = compare_on(reference, candidate, feeds, limit=limit, correlation=correlation)
        _check_rows(candidate, feeds)
        return report
    noise = noise_feeds(pair.inputs, pair.batches)
    return compare_on(reference, candidate, noise, limit=limit, correlation=correlation)


def _served(images: Images, largest: int) -> list[tuple[Array, ...]]:
    """Return images one by one, by two, and as many as a server sends.

    Raises:
        UsageError: there are too few of them to compare.
    """
    rows = tuple(np.concatenate(arrays) for arrays in zip(*images, strict=True))
    count = len(rows[0]) if rows else 0
    if count < MIN_CASES:
        raise UsageError(
            f"{count} images are too few to compare the file with PyTorch", f"give at least {MIN_CASES}."
        )
    ends = [(n, n + 1) for n in range(MIN_CASES)] + [(0, 2), (0, min(largest, count))]
    return [tuple(array[start:end] for array in rows) for start, end in ends]


def _check_rows(candidate: Session, feeds: Sequence[tuple[Array, ...]]) -> None:
    """Refuse a file whose outputs for an image depend on what else is in the batch.

    Raises:
        ParityError: rows of a batch are not what the same images give alone.
    """
    alone = [_outputs(candidate, feed) for feed in feeds[:MIN_CASES]]
    for feed in feeds[MIN_CASES:]:
        together = _outputs(candidate, feed)
        for row, single in enumerate(alone[: len(feed[0])]):
            for name, values in single.items():
                if not relative_difference(values, together[name][row : row + 1]) <= _ROWS_LIMIT:
                    raise ParityError(
                        f"{name!r} of an image is another in a batch of {len(feed[0])} than alone",
                        "the file mixes the images of a batch: export it again.",
                    )


def _outputs(session: Session, feed: tuple[Array, ...]) -> dict[str, Array]:
    return session.run(dict(zip(session.input_names, feed, strict=True)))


def _detections(
    reference: TorchSession, candidate: Session, pair: Pair, images: Images | None
) -> ParityReport:
    feeds = canvas_noise(pair.inputs) if images is None else list(images)
    return prove_detections(
        reference, candidate, feeds, precision=pair.precision,
        stages=cast("Stages", pair.exported), file=pair.file,
    )  # fmt: skip


COMPARISONS: Final[Mapping[str, Comparison]] = {
    "classification": _logits,
    "detection": _detections,
}
