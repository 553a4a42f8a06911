"""The sections on alignment and on 8-bit integers."""

from typing import Any

from bench.pages.markdown import interval, table

Row = dict[str, Any]


def alignment(data: Row) -> str:
    """Return the section of ``results/alignment.json``."""
    rows = [
        (
            f"{row['subject']}, {row['model']}",
            row["batch"],
            f"{row['macs_growth']:+.1%}" if "macs_growth" in row else "",
            f"{row['difference']:.0e}" if "difference" in row else "",
            f"{row['p50_ms']:.1f}",
            interval(row["speedup"]),
        )
        for row in data["rows"]
        if "batch" in row
    ]
    return (
        "## Padding pruned widths at export\n\n`python -m bench.alignment`: the same outputs (largest "
        "relative difference at most 1e-5; of\ndetectors the share of detections without a partner), more MACs; "
        "ONNX Runtime, 2 threads, interleaved, 95 % interval\nof the ratio against the unpadded file.\n\n"
        + table(("network", "batch", "MACs", "difference", "p50 ms", "speed-up"), rows)
    )


def precision_parity(data: Row) -> str:
    """Return the section of ``results/precision_parity.json``."""
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
        "## Every model in three precisions\n\n`python -m bench.precision_parity`: each file passes ONNX's checker and "
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


def int8(data: Row) -> str:
    """Return the section of ``results/int8.json``."""
    rows = [
        (row["model"], row["precision"], f"{row['top1']:.2f}", row["images"], _share(row), _validated(row))
        if "top1" in row
        else (row["model"], row["precision"], "", "", "", "refused: " + row["refused"].splitlines()[0])
        for row in data["rows"]
    ]
    columns = ("model", "file", "top-1 %", "images", "layers converted", "validation %, layers kept float")
    return (
        "## Accuracy in fewer bits\n\n`python -m bench.int8`: top-1 in percent on test images; ranges come from "
        f"training images. `auto` may lose {data['limit']} points on\nvalidation images, and keeps as few layers "
        "float as that takes.\n\n" + table(columns, rows)
    )


def _share(row: Row) -> str:
    return f"{row['share']:.0%}" if "share" in row else ""


def _validated(row: Row) -> str:
    """Return what the search for float layers found on validation images."""
    if "kept_float" not in row:
        return ""
    scores = f"{row['validation_fp32']:.2f} → {row['validation_int8']:.2f}"
    return f"{scores}, {len(row['kept_float'])}"


def int8_speed(data: Row) -> str:
    """Return the section of ``results/int8_speed.json``."""
    rows = [
        (row["backend"], row["model"], row["batch"], f"{row['p50_ms']:.1f}", interval(row["speedup"]))
        for row in data["rows"]
    ]
    return (
        "## ResNet-50 in fewer bits on this CPU\n\n`python -m bench.int8_speed`: 224x224, 2 threads, interleaved "
        f"within a runtime. {data['note']}\n\n"
        + table(("runtime", "network", "batch", "p50 ms", "speed-up"), rows)
    )
