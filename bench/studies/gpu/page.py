"""The section on GPUs, for the results that exist."""

from collections.abc import Iterator
from typing import Any, Final

from bench.section import Section, interval, table
from bench.statistics import significant

Row = dict[str, Any]
_COLUMNS: Final = (
    "model", "form", "MACs /", "engine", "precision", "batch", "wall p50 ms", "GPU p50 ms",
    "speed-up, wall", "speed-up, GPU", "differs from the CPU by",
)  # fmt: skip


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    machine = data["machine"]
    done = [cell for cell in data["cells"].values() if cell["status"] == "measured"]
    parts = [
        f"## On a GPU: {machine['device']}\n\n`python -m bench.studies.gpu.run`: PyTorch {machine['torch']}, "
        "interleaved, 95 % interval of the ratio to dense by the wall's clock and by the GPU's.\n"
        + "".join(f"* {note}\n" for note in data["notes"])
    ]
    for work in ("inference", "training"):
        rows = [row for cell in done if cell["work"] == work for row in _rows(cell)]
        if rows:
            parts.append(f"{work.capitalize()}:\n\n{table(_COLUMNS, rows)}")
    others = [
        f"* {key}: {cell['status']}, {cell['reason']}\n"
        for key, cell in data["cells"].items()
        if cell["status"] != "measured"
    ]
    if others:
        parts.append("Not measured:\n\n" + "".join(others))
    return "\n".join(parts)


def _rows(cell: Row) -> Iterator[tuple[object, ...]]:
    dense = next(iter(cell["forms"].values()))
    for name, form in cell["forms"].items():
        wall, gpu = form["wall"], form["gpu"]
        yield (
            cell["model"], name, f"{dense['macs'] / form['macs']:.2f}", cell["engine"], cell["precision"],
            cell["batch"], significant(wall["p50_ms"]), significant(gpu["p50_ms"]) if gpu else "",
            interval(wall["speedup"]), interval(gpu["speedup"]) if gpu else "", _parity(form["parity"]),
        )  # fmt: skip


def _parity(parity: Row | None) -> str:
    if parity is None:
        return ""
    difference = parity["relative_difference"]
    words = "not finite" if difference is None else f"{difference:.0e}"
    return words if parity["passed"] else f"{words}, **over {parity['limit']:.0e}**"


SECTION: Final = Section(order=25, text=text)
