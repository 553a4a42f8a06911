"""How files that return what their model returns are compared with it: number by number, row by row."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from compressor.base.errors import ParityError, UsageError
from compressor.tasks.agreement import check_agreement
from compressor.tasks.opened import Array, Images, Pair, Runnable
from compressor.tasks.parity import (
    MIN_CASES,
    MIN_CORRELATION,
    PARITY_LIMITS,
    Answers,
    ParityReport,
    compare_on,
    judged,
    noise_feeds,
    relative_difference,
    run_both,
)

_ROWS_LIMIT: Final = 0.05  # kernels for large batches may round otherwise, and rounding may move a level
_SERVED: Final = MIN_CASES + 2
"""Of the batches of images, how many show the same images alone and together."""


def compare_logits(
    reference: Runnable, candidate: Runnable, pair: Pair, images: Images | None
) -> ParityReport:
    """Compare a file with its module on images, or on noise where there are none.

    Raises:
        ParityError: outputs differ beyond the limit of the precision, an image's depend on what else is in
            the batch, or the classes that they name are others.
        UsageError: there are too few images.
    """
    limit, correlation = PARITY_LIMITS[pair.precision], MIN_CORRELATION[pair.precision]
    if images is not None:
        answers = run_both(reference, candidate, _served(images, max(pair.batches)))
        report = judged(answers[:_SERVED], limit=limit, correlation=correlation)
        _check_rows(answers[:_SERVED])
        check_agreement(answers[_SERVED - 1 :])
        return report
    noise = noise_feeds(pair.inputs, pair.batches)
    return compare_on(reference, candidate, noise, limit=limit, correlation=correlation)


def _served(images: Images, largest: int) -> list[tuple[Array, ...]]:
    """Return images one by one, by two, and as many as a server sends; then the others, as many at a time.

    Raises:
        UsageError: there are too few of them to compare.
    """
    rows = tuple(np.concatenate(arrays) for arrays in zip(*images, strict=True))
    count = len(rows[0]) if rows else 0
    if count < MIN_CASES:
        raise UsageError(
            f"{count} images are too few to compare the file with PyTorch", f"give at least {MIN_CASES}."
        )
    together = [(n, min(n + largest, count)) for n in range(0, count, largest)]
    ends = [*((n, n + 1) for n in range(MIN_CASES)), (0, 2), *together]
    return [tuple(array[start:end] for array in rows) for start, end in ends]


def _check_rows(answers: Sequence[Answers]) -> None:
    """Refuse a file whose outputs for an image depend on what else is in the batch.

    Raises:
        ParityError: rows of a batch are not what the same images give alone.
    """
    alone = [answer.found for answer in answers[:MIN_CASES]]
    for together in (answer.found for answer in answers[MIN_CASES:]):
        for row, single in enumerate(alone):
            for name, values in single.items():
                rows = together[name]
                if row < len(rows) and not relative_difference(values, rows[row : row + 1]) <= _ROWS_LIMIT:
                    raise ParityError(
                        f"{name!r} of an image is another in a batch of {len(rows)} than alone",
                        "the file mixes the images of a batch: export it again.",
                    )
