"""The section on projections: how far they are from what was measured."""

from typing import Any, Final

from bench.section import Section, interval, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    strings = "; ".join(f"{name} = `{rates}`" for name, rates in data["rates"].items())
    rows = [_cells(part["threads"], row) for part in data["parts"] for row in part["rows"]]
    return (
        "## What a projection is worth: ResNet-50 in ONNX Runtime\n\n`python -m bench.studies.projection.run`: "
        f"224x224, batch 1, interleaved, 95 % interval of the measured ratio. {strings}.\nProjected, as "
        "`compress bench --project here` does, from two ceilings of the same machine; the error is that of the "
        "middle of the\nrange. The last column is the error of the ratio if MACs were speed.\n\n"
        + table(
            (
                "widths", "threads", "measured ms", "projected ms", "error", "measured speed-up",
                "projected speed-up", "error of the ratio", "error of MACs",
            ),
            rows,
        )
        + "\n" + "\n".join(_ceilings(part) for part in data["parts"]) + "\n"
    )  # fmt: skip


def _cells(threads: int, row: Row) -> tuple[object, ...]:
    projected = row["projected_ms"]
    ratio = ("1", "1", "", "")
    if row["speedup"]:
        ratio = (
            interval(row["speedup"]), f"{row['projected_speedup']:.2f}", f"{row['speedup_error']:+.0%}",
            f"{row['macs_error']:+.0%}",
        )  # fmt: skip
    return (
        row["model"], threads, f"{row['p50_ms']:.1f}", f"{projected['low']:.1f}..{projected['high']:.1f}",
        f"{row['error']:+.0%}", *ratio,
    )  # fmt: skip


def _ceilings(part: Row) -> str:
    found = part["ceilings"]
    arithmetic, memory = found["flops_per_s"], found["bytes_per_s"]
    return (
        f"* threads: {part['threads']}; ceilings {arithmetic['low'] / 1e9:.0f}..{arithmetic['high'] / 1e9:.0f} "
        f"GFLOPS, {memory['low'] / 1e9:.0f}..{memory['high'] / 1e9:.0f} GB/s, "
        f"{found['launch_s'] * 1e6:.1f} us per layer"
    )


SECTION: Final = Section(order=22, text=text, timed=True)
