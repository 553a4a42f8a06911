"""The section on every model in three precisions."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            row["model"],
            row["weights"],
            row["precision"],
            f"{row['bytes'] / 1e6:.1f}" if "bytes" in row else "",
            f"{row['converted']} of {row['layers']}" if row.get("layers") else "",
            _difference(row),
            _score(row),
        )
        for row in data["rows"]
    ]
    columns = (
        "model",
        "weights",
        "file",
        "MB",
        "layers converted",
        "difference (limit)",
        "AP, PyTorch's → the file's",
    )
    return (
        "## Every model in three precisions\n\n`python -m bench.studies.precision_parity.run`: each file passes ONNX's checker and "
        "runs in ONNX Runtime. Classifiers: largest\ndifference from PyTorch over the largest value of the output. "
        "Detectors: share of detections without a partner. In\nbrackets what the export allows. Detectors have learned "
        "a handful of COCO's images by heart, and their average precision\n(of boxes; masks; keypoints) is on these "
        "images: it says what a precision costs, not how good the detector is.\n\n" + table(columns, rows)
    )


def _score(row: Row) -> str:
    """Return average precision in PyTorch and through a detector's file, by what is found."""
    if "score" not in row:
        return ""
    before, after = row["pytorch_score"], row["score"]
    kinds = [kind for kind in ("box", "mask", "keypoint") if after[kind] is not None]
    return "; ".join(f"{before[kind]:.1f} → {after[kind]:.1f}" for kind in kinds)


def _difference(row: Row) -> str:
    if "refused" in row:
        return "refused: " + str(row["refused"]).splitlines()[0]
    if row["detections"] is None:
        return f"{row['difference']:.1e} ({row['limit']:.0e})"
    return f"{row['difference']:.2%} of {row['detections']} ({row['limit']:.1%})"


SECTION: Final = Section(order=50, text=text)
