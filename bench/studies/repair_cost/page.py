"""The section on time and memory of repair."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    columns = (
        "model",
        "input",
        "images",
        "layers",
        "most columns",
        "threads",
        "minutes",
        "computing",
        "peak GiB",
    )
    return (
        "## Time and memory of repair\n\n`python -m bench.studies.repair_cost.run`: repair alone in a fresh process, "
        "which loads two artifacts first; random\nweights. *Computing* is the time of its threads, added up: it does "
        "not grow when others keep the machine busy.\n\n"
        + table(columns, [_cells(row) for row in data["cells"]])
    )


def _cells(row: Row) -> tuple[object, ...]:
    cell, layers = row["cell"], row["layers"]
    return (
        cell["model"],
        "x".join(map(str, row["size"])),
        row["images"],
        len(layers),
        f"{max(layer['columns'] for layer in layers):,}",
        cell["threads"],
        f"{row['seconds'] / 60:.1f}",
        f"{row['cpu_seconds'] / 60:.1f}",
        f"{row['peak_mib'] / 1024:.2f}",
    )


SECTION: Final = Section(order=97, text=text)
