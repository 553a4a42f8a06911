"""The section on widths by measured latency."""

from typing import Any, Final

from bench.section import Section, interval, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    cells: list[Row] = data["cells"]
    cpu = data["environment"]["cpu"]
    sets = data["environment"]["instruction_sets"]
    return (
        "## Widths by measured latency\n\n`python -m bench.studies.latency.run`: `compress prune --latency`, "
        f"criterion l1, random weights, ONNX Runtime,\nbatch 1, {cpu} ({sets}). Shares of the dense latency, "
        "95 % intervals; a second and a third network are made by what\nwas measured of the ones before.\n\n"
        + _reached([row for row in cells if row["cell"]["part"] == "reached"])
        + _tables([row for row in cells if row["cell"]["part"] == "table"])
        + "".join(_speed(row) for row in cells if row["cell"]["part"] == "speed")
    )


def _reached(rows: list[Row]) -> str:
    if not rows:
        return ""
    return table(
        (
            "model",
            "threads",
            "target",
            "first predicted",
            "first measured",
            "off",
            "kept, measured",
            "off",
            "MACs",
        ),
        [_cells(row) for row in rows],
    )


def _cells(row: Row) -> tuple[object, ...]:
    found = row["reached"]
    first, kept = found["trials"][0], found["trials"][found["kept"]]
    return (
        row["cell"]["model"], row["cell"]["threads"], f"{row['cell']['share']:g}", f"{first['predicted']:.3f}",
        _share(first), _off(first, first["predicted"]), _share(kept), _off(kept, found["share"]),
        f"{row['macs_share']:.3f}",
    )  # fmt: skip


def _share(trial: Row) -> str:
    speedup = trial["speedup"]
    return f"{1 / speedup['value']:.3f} ({1 / speedup['high']:.3f}..{1 / speedup['low']:.3f})"


def _off(trial: Row, wanted: float) -> str:
    return f"{1 / trial['speedup']['value'] / wanted - 1:+.1%}"


def _tables(rows: list[Row]) -> str:
    if not rows:
        return ""
    columns = ("model", "threads", "layers", "points", "table s", "known s", "plan s")
    seconds = ("table_s", "cached_s", "plan_s")
    lines = [
        (row["cell"]["model"], row["cell"]["threads"], row["layers"], row["points"],
         *(f"{row[name]:.1f}" for name in seconds))
        for row in rows
    ]  # fmt: skip
    words = "Seconds of a table from nothing, of profiling alone where all layers are known, and of a plan:"
    return f"\n{words}\n\n{table(columns, lines)}"


def _speed(row: Row) -> str:
    macs, results = row["macs"], row["report"]["results"]
    rows = [
        (result["model"], f"{macs[result['model']] / 1e9:.3f}", f"{macs['dense'] / macs[result['model']]:.2f}",
         f"{result['p50_ms']:.1f}", interval(result["speedup"]))
        for result in results
    ]  # fmt: skip
    return (
        f"\nResNet-50 at the multiply-adds of two published rows, {row['cell']['threads']} threads:\n\n"
        + table(("widths", "GMACs", "MACs fewer", "p50 ms", "speed-up"), rows)
    )


SECTION: Final = Section(order=97, text=text)
