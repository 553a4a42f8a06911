"""Compare a detector's file with its module, on something in which both find something."""

from collections.abc import Sequence
from pathlib import Path

from compressor.base.files import scratch
from export.backends import BACKENDS, Array, Session, SessionOptions
from export.model_io import patchwork
from export.parity import ParityReport, run_on
from export.parity_detections import MATCH_LIMITS, Stages, compare_detections_on
from export.parity_stages import STAGE_LIMITS, Staged, compare_stages, is_staged
from export.soundness import check_alike, check_sorted, check_sound
from export.taps import write_tapped
from export.thresholds import write_without_threshold

Feeds = Sequence[Sequence[Array]]


def prove_detections(
    reference: Session, candidate: Session, feeds: Feeds, *, precision: str, stages: Stages, file: Path
) -> ParityReport:
    """Compare a file with its module.

    Where nothing is found in noise, patchworks of plain squares are shown instead, and where nothing is found
    in those either, everything that scores above 0 counts as found on both sides.

    Args:
        reference: the module's session.
        candidate: the file's session.
        feeds: canvases (B, 3, H, W) and sizes (B, 2).
        precision: of the file, a key of `STAGE_LIMITS`.
        stages: the module, whose parts are run alone.
        file: the file; an ONNX file that shows its inner values is compared stage by stage.

    Raises:
        ParityError: the file is not equivalent, or nothing was detected, so that nothing was compared.
    """
    for shown in (feeds, [patchwork(arrays) for arrays in feeds]):
        if _something_found(reference, shown):
            return _proved(reference, candidate, shown, precision, stages, file)
    with scratch() as folder, stages.listening() as threshold:
        lowered = write_without_threshold(file, folder / file.name, threshold)
        with BACKENDS.get("onnxruntime").open(lowered, SessionOptions()) as listening:
            return _proved(reference, listening, feeds, precision, stages, lowered)


def _something_found(reference: Session, feeds: Feeds) -> bool:
    return any(bool(run_on(reference, arrays)["num_detections"].any()) for arrays in feeds)


def _proved(
    reference: Session, candidate: Session, feeds: Feeds, precision: str, stages: Stages, file: Path
) -> ParityReport:
    if not (isinstance(stages, Staged) and is_staged(stages, file)):
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
    with scratch() as folder:
        tapped = write_tapped(file, folder / file.name, stages.inner())
        with BACKENDS.get("onnxruntime").open(tapped, SessionOptions()) as shown:
            return compare_stages(stages, shown, feeds, STAGE_LIMITS[precision])
