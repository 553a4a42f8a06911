"""Compare a detector's file with its module, on something in which both find something."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from compressor.tasks.opened import Array, OpenFile, Runnable
from compressor.tasks.parity import ParityReport, run_on
from detection.parity.rows import MATCH_LIMITS, Stages, compare_detections_on
from detection.parity.soundness import check_alike, check_sorted, check_sound
from detection.parity.stages import STAGE_LIMITS, Staged, compare_stages, is_staged

Feeds = Sequence[Sequence[Array]]
_SQUARE: Final = 24  # pixels


def prove_detections(
    reference: Runnable, candidate: OpenFile, feeds: Feeds, *, precision: str, stages: Stages
) -> ParityReport:
    """Compare a file with its module.

    Where nothing is found in noise, patchworks of plain squares are shown instead, and where nothing is found
    in those either, everything that scores above 0 counts as found on both sides.

    Args:
        reference: the module's session.
        candidate: the file; one that can show its inner values is compared stage by stage.
        feeds: canvases (B, 3, H, W) and sizes (B, 2).
        precision: of the file, a key of `STAGE_LIMITS`.
        stages: the module, whose parts are run alone.

    Raises:
        ParityError: the file is not equivalent, or nothing was detected, so that nothing was compared.
    """
    for shown in (feeds, [patchwork(arrays) for arrays in feeds]):
        if _something_found(reference, shown):
            return _proved(reference, candidate, shown, precision, stages)
    with stages.listening() as threshold, candidate.lowered(threshold) as listening:
        return _proved(reference, listening, feeds, precision, stages)


def patchwork(arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return images (B, 3, H, W) of the same size that consist of plain squares of seeded colours."""
    images, *others = arrays
    batch, channels, height, width = images.shape
    cells = (batch, channels, -(-height // _SQUARE), -(-width // _SQUARE))
    colours = np.random.default_rng(batch).random(cells, dtype=np.float32)
    large = colours.repeat(_SQUARE, axis=2).repeat(_SQUARE, axis=3)
    return (np.ascontiguousarray(large[:, :, :height, :width]), *others)


def _something_found(reference: Runnable, feeds: Feeds) -> bool:
    return any(bool(run_on(reference, arrays)["num_detections"].any()) for arrays in feeds)


def _proved(
    reference: Runnable, candidate: OpenFile, feeds: Feeds, precision: str, stages: Stages
) -> ParityReport:
    if not (isinstance(stages, Staged) and is_staged(stages, candidate)):
        return compare_detections_on(
            reference, candidate, feeds, limit=MATCH_LIMITS[precision], stages=stages
        )
    expected = run_on(reference, feeds[0])
    check_sound(expected, "PyTorch")
    for arrays in feeds:  # the file itself, as it will run; what comes out may be ranked otherwise
        found = run_on(candidate, arrays)
        check_sound(found, "the file")
        check_sorted(found)
        check_alike(expected, found)
    with candidate.showing(stages.inner()) as shown:
        return compare_stages(stages, shown, feeds, STAGE_LIMITS[precision])
