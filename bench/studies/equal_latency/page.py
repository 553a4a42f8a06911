"""The section on accuracy at equal latency."""

from statistics import mean
from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    cpu, sets = data["environment"]["cpu"], data["environment"]["instruction_sets"]
    dense = ", ".join(f"{name} {top1:.2f} %" for name, top1 in data["dense"].items())
    return (
        "## Accuracy at equal latency\n\n`python -m bench.studies.equal_latency.run`: published weights, "
        "CIFAR-10, ONNX Runtime on one thread, batch 1,\n"
        f"{cpu} ({sets}). Each way is searched for the network whose latency by one table is nearest to the "
        "target, in\nmultiples of the block; Torch-Pruning 1.6.1, in multiples of 8, has to keep the outputs "
        "of blocks, since it breaks\nthe padded shortcuts. Repair "
        f"sees {data['repair_images']} images and no label. Dense: {dense}.\n\n"
        + "\n".join(_cut(row, data["cells"]) for row in data["cells"] if row["cell"]["part"] == "cut")
    )


def _cut(row: Row, cells: list[Row]) -> str:
    measured = {name: result["speedup"] for name, result in row["measured"].items()}
    lines = [
        (name, f"{way['predicted']:.3f}", _share(measured[name]), f"{way['macs_share']:.3f}",
         f"{way['top1_repaired']:.2f}" if "top1_repaired" in way else "", _trained(row, name, cells))
        for name, way in row["ways"].items()
    ]  # fmt: skip
    columns = ("way", "predicted", "measured", "MACs", "top-1 repaired", "top-1 trained")
    return f"{row['cell']['model']} at {row['cell']['share']:g} of the latency:\n\n{table(columns, lines)}"


def _share(speedup: Row) -> str:
    return f"{1 / speedup['value']:.3f} ({1 / speedup['high']:.3f}..{1 / speedup['low']:.3f})"


def _trained(row: Row, way: str, cells: list[Row]) -> str:
    """Return the mean over seeds and how many they are."""
    wanted = {**row["cell"], "part": "trained", "way": way}
    found = [
        other["top1"]
        for other in cells
        if {key: value for key, value in other["cell"].items() if key != "seed"} == wanted
    ]
    return f"{mean(found):.2f} ({len(found)})" if found else ""


SECTION: Final = Section(order=98, text=text)
