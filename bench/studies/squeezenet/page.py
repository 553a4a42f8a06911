"""The section on SqueezeNet, cut and repaired."""

from statistics import fmean
from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    return (
        "## Repair without norms: SqueezeNet 1.1 on ImageNet images\n\n`python -m bench.studies.squeezenet.run`: published "
        "weights; a share of every group is removed by l1, and the network is\nrepaired on one half of 650 validation "
        "images and scored on the other. These images are easier than ImageNet's, so only\ndifferences count. "
        "Top-1 in percent, of the other half; the mean of both where both were scored.\n\n"
        + table(
            ("removed", "ridge", "MACs left", "dense", "pruned", "repaired", "halves", "seconds"),
            [_cells(data, key) for key in dict.fromkeys(map(_key, data["cells"]))],
        )
    )


def _key(row: Row) -> tuple[float, float | None]:
    return row["cell"]["rate"], row["cell"]["strength"]


def _cells(data: Row, key: tuple[float, float | None]) -> tuple[object, ...]:
    rows = [row for row in data["cells"] if _key(row) == key]
    dense = fmean(data["dense"][row["cell"]["half"]]["top1"] for row in rows)
    pruned, repaired = (fmean(row[moment]["top1"] for row in rows) for moment in ("pruned", "repaired"))
    return (
        f"{key[0]:.0%}",
        key[1] or "chosen",
        f"{rows[0]['macs'] / data['macs']:.0%}",
        f"{dense:.1f}",
        f"{pruned:.1f}",
        f"{repaired:.1f}",
        len(rows),
        f"{fmean(row['seconds'] for row in rows):.0f}",
    )


SECTION: Final = Section(order=96, text=text)
