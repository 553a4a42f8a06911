"""The section on how far the static graph agrees with torchvision."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
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
        "## The static graph against torchvision\n\n`python -m bench.studies.detector_parity.run`: images of COCO's validation "
        f"split on a {height}x{width} canvas, exported file in ONNX Runtime\nagainst torchvision's eager modules, "
        "random weights, stretched on training images so that most images have many\ndetections. Matched: same "
        "label, overlap above 0.99, scores within 1e-3. Rounds are those of the deepest block of suppression,\n"
        f"counted on {data['rows'][0]['rounds_counted_on']} images.\n\n" + table(columns, rows)
    )


SECTION: Final = Section(order=40, text=text)
