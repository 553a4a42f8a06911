"""The section on accuracy in fewer bits."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (row["model"], row["precision"], f"{row['top1']:.2f}", row["images"], _share(row), _validated(row))
        if "top1" in row
        else (row["model"], row["precision"], "", "", "", "refused: " + row["refused"].splitlines()[0])
        for row in data["rows"]
    ]
    columns = ("model", "file", "top-1 %", "images", "layers converted", "validation %, layers kept float")
    return (
        "## Accuracy in fewer bits\n\n`python -m bench.studies.int8.run`: top-1 in percent on test images; ranges come from "
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


SECTION: Final = Section(order=70, text=text)
