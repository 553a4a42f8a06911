"""The sections on detectors: speed, stages, and agreement of the static graph with torchvision."""

from typing import Any

from bench.pages.markdown import interval, table

Row = dict[str, Any]


def detectors(data: Row) -> str:
    """Return the section of ``results/detectors.json``, which may lack its last tables."""
    left = " and ".join(f"{share:.0%} at {size}" for size, share in data["published_share_of_macs"].items())
    return (
        "## Detectors in ONNX Runtime\n\n`python -m bench.detectors`: the static graph, batch 1, 2 threads, "
        "interleaved, 95 % interval of the ratio, random\nweights, l1, widths planned at the size that is "
        f"measured. Of the MACs, the published backbone rate leaves {left}.\n"
        "Stages are shares of ONNX Runtime's own profile.\n"
        + "".join(_table(title, part) for title, part in data["tables"].items())
    )


def _table(title: str, part: Row) -> str:
    measured = {result["model"]: result for result in part["report"]["results"]}
    rows = [
        (
            row["model"],
            f"{row['gmacs']:.1f}",
            f"{row['macs_reduction']:.2f}",
            f"{measured[row['model']]['p50_ms']:.0f}",
            interval(measured[row["model"]]["speedup"]),
        )
        for row in part["rows"]
    ]
    columns = ("detector", "GMACs", "MACs /", "p50 ms", "speed-up")
    machine = part["report"]["environment"]["instruction_sets"]
    return f"\n{title} ({machine}):\n\n{table(columns, rows)}\n{_stages(part['stages_ms'])}"


def _stages(stages: dict[str, dict[str, float]]) -> str:
    """Return milliseconds by stage, one column per stage, one row per model."""
    names = list(dict.fromkeys(stage for times in stages.values() for stage in times))
    rows = [(model, *(f"{times.get(stage, 0):.0f}" for stage in names)) for model, times in stages.items()]
    return table(("ms by stage", *names), rows)


def detector_parity(data: Row) -> str:
    """Return the section of ``results/detector_parity.json``."""
    height, width = data["canvas"]
    rows = [
        (
            f"{row['model']}, {row['kind']}",
            row["images"],
            row["reference"],
            row["matched"],
            f"{row['share']:.3%}",
            f"{row['max_box_error_px']:.4f}",
            f"{row['rounds_needed']} of {row['rounds_allowed']}",
            row["not_converged"],
        )
        for row in data["rows"]
    ]
    columns = (
        "detector", "images", "torchvision finds", "matched", "share", "box error px", "NMS rounds needed",
        "images not settled",
    )  # fmt: skip
    return (
        "## The static graph against torchvision\n\n`python -m bench.detector_parity`: images of COCO's validation "
        f"split on a {height}x{width} canvas, exported file in ONNX Runtime\nagainst torchvision's eager modules, "
        "random weights, stretched on training images so that most images have many\ndetections. Matched: same "
        "label, overlap above 0.99, scores within 1e-3. Rounds are those of the deepest block of suppression,\n"
        f"counted on {data['rows'][0]['rounds_counted_on']} images.\n\n" + table(columns, rows)
    )
