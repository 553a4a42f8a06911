"""The section on fewer MACs, and what arrives of them as speed."""

from typing import Any, Final

from bench.section import Section, interval, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    strings = "; ".join(f"{name} = `{rates}`" for name, rates in data["rates"].items())
    rows = [
        (
            row["model"],
            row["batch"],
            f"{row['p50_ms']:.1f}",
            f"{row['macs_reduction']:.2f}",
            interval(row["speedup"]),
            f"{row['speedup_over_macs_reduction']:.2f}" if row["speedup"] else "",
        )
        for row in data["rows"]
    ]
    return (
        "## Fewer MACs are not speed: ResNet-50 in ONNX Runtime\n\n`python -m bench.studies.rounding.run`: 224x224, 2 threads, "
        f"interleaved, 95 % interval of the ratio. {strings}. The last column is the share of the\nMACs reduction "
        "that arrives as speed.\n\n"
        + table(("widths", "batch", "p50 ms", "MACs /", "speed-up", "speed-up / MACs"), rows)
    )


SECTION: Final = Section(order=20, text=text, timed=True)
