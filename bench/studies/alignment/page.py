"""The section on padding pruned widths."""

from typing import Any, Final

from bench.section import Section, interval, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            f"{row['subject']}, {row['model']}",
            row["batch"],
            f"{row['macs_growth']:+.1%}" if "macs_growth" in row else "",
            f"{row['difference']:.0e}" if "difference" in row else "",
            f"{row['p50_ms']:.1f}",
            interval(row["speedup"]),
        )
        for row in data["rows"]
        if "batch" in row
    ]
    return (
        "## Padding pruned widths at export\n\n`python -m bench.studies.alignment.run`: the same outputs (largest "
        "relative difference at most 1e-5; of\ndetectors the share of detections without a partner), more MACs; "
        "ONNX Runtime, 2 threads, interleaved, 95 % interval\nof the ratio against the unpadded file.\n\n"
        + table(("network", "batch", "MACs", "difference", "p50 ms", "speed-up"), rows)
    )


SECTION: Final = Section(order=60, text=text, timed=True)
