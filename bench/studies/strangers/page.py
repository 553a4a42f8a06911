"""The section on networks of another library."""

from typing import Any, Final

from bench.section import Section, table
from bench.studies.strangers.names import HALF

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    cells: list[Row] = data["cells"]
    failed = [row for row in cells if row["status"] or row["macs_share"] > HALF]
    worst = max(row["difference"] or 0.0 for row in cells if not row["status"])
    return (
        "## Networks of another library\n\n`python -m bench.studies.strangers.run`: "
        f"{len(cells)} convolutional networks of timm {data['timm']}, random weights,\n"
        "`compress prune timm.models:NAME --macs 0.5 --input 3xHxW`, no other flag. "
        f"{len(cells) - len(failed)} reach half of their multiply-adds;\nthe shrunk network differs from the "
        f"masked one by at most {worst:.0e}. The others:\n\n"
        + table(("network", "exit code", "what it says"), [_cells(row) for row in failed])
    )


def _cells(row: Row) -> tuple[object, ...]:
    if row["status"] == 0:
        return row["cell"]["model"], 0, f"{row['macs_share']:.3f} of the multiply-adds remain"
    said = row["said"].removeprefix("Error: ").replace("|", "\\|")
    return row["cell"]["model"], row["status"], said[:140]


SECTION: Final = Section(order=131, text=text)
