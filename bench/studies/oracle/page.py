"""The section on the oracle over torchvision."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: list[Row]) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            row["model"],
            "refused: " + row["refused"]
            if row["refused"]
            else f"passed {row['max_relative_difference']:.0e}",
            row["pruned_groups"],
            f"{row['params_share']:.0%}",
            "; ".join(f"{count}: {reason}" for reason, count in row["kept_whole"].items()),
        )
        for row in data
    ]
    return (
        "## The oracle over torchvision\n\n`python -m bench.studies.oracle.run`: half of every free group removed, norm "
        "statistics randomised, shrunk against masked model\n(limit 1e-4). The last column says which groups stay "
        "whole and why.\n\n"
        + table(("model", "result", "groups pruned", "parameters left", "groups kept whole"), rows)
    )


SECTION: Final = Section(order=130, text=text)
