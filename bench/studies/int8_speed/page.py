"""The section on speed in fewer bits."""

from typing import Any, Final

from bench.section import Section, interval, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (row["backend"], row["model"], row["batch"], f"{row['p50_ms']:.1f}", interval(row["speedup"]))
        for row in data["rows"]
    ]
    return (
        "## ResNet-50 in fewer bits on this CPU\n\n`python -m bench.studies.int8_speed.run`: 224x224, 2 threads, interleaved "
        f"within a runtime. {data['note']}\n\n"
        + table(("runtime", "network", "batch", "p50 ms", "speed-up"), rows)
    )


SECTION: Final = Section(order=80, text=text, timed=True)
