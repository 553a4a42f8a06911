"""The section on how long pruning itself takes."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            row["model"],
            f"{row['median_s']['compress'] * 1e3:.0f}",
            f"{row['median_s']['torch_pruning'] * 1e3:.0f}",
            f"{row['ratio']:.2f}",
        )
        for row in data["rows"]
    ]
    return (
        "## Pruning itself, against Torch-Pruning 1.6.1\n\n`python -m bench.studies.prune_speed.run`: trace, score, plan and "
        "shrink at 224x224, L1, half of every group; median of 5, alternating.\n\n"
        + table(("model", "compress ms", "Torch-Pruning ms", "ratio"), rows)
    )


SECTION: Final = Section(order=10, text=text, timed=True)
