"""The section on detectors: speed and stages."""

from typing import Any, Final

from bench.section import Section, interval, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds, which may lack its last tables."""
    left = " and ".join(f"{share:.0%} at {size}" for size, share in data["published_share_of_macs"].items())
    return (
        "## Detectors in ONNX Runtime\n\n`python -m bench.studies.detectors.run`: the static graph, batch 1, 2 threads, "
        "interleaved, 95 % interval of the ratio, random\nweights, l1, widths planned at the size that is "
        f"measured. Of the MACs, the published backbone rate leaves {left}.\n"
        "Stages are shares of ONNX Runtime's own profile.\n"
        + "".join(_table(title, part) for title, part in data["tables"].items())
    )


def _table(title: str, part: Row) -> str:
    measured = {result["model"]: result for result in part["report"]["results"]}
    rows = [
        (
            row["model"],
            f"{row['gmacs']:.1f}",
            f"{row['macs_reduction']:.2f}",
            f"{measured[row['model']]['p50_ms']:.0f}",
            interval(measured[row["model"]]["speedup"]),
        )
        for row in part["rows"]
    ]
    columns = ("detector", "GMACs", "MACs /", "p50 ms", "speed-up")
    machine = part["report"]["environment"]["instruction_sets"]
    return f"\n{title} ({machine}):\n\n{table(columns, rows)}\n{_stages(part['stages_ms'])}"


def _stages(stages: dict[str, dict[str, float]]) -> str:
    """Return milliseconds by stage, one column per stage, one row per model."""
    names = list(dict.fromkeys(stage for times in stages.values() for stage in times))
    rows = [(model, *(f"{times.get(stage, 0):.0f}" for stage in names)) for model, times in stages.items()]
    return table(("ms by stage", *names), rows)


SECTION: Final = Section(order=30, text=text, timed=True)
