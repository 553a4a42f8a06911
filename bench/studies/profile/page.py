"""The section on what profiles predict."""

from typing import Any, Final

from bench.section import Section, interval, table

_VERDICT: Final = {"verdict": ""}


def text(data: dict[str, Any]) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            f"threads {row['threads']}, repeat {row['repeat'] + 1}",
            row["first_cause"],
            f"{row['predicted_speedup']:.3f}",
            interval({**row["measured_speedup"], **_VERDICT}),
            f"{row['speedup_error']:+.1%}",
            f"{row['predicted_nodes_ms']:.1f}",
            f"{row['nodes_ms'][1]:.1f}",
            f"{row['nodes_error']:+.1%}",
        )
        for row in data["rows"]
    ]
    columns = (
        "resnet50", "first cause", "predicted", "measured (95 %)", "error", "nodes predicted, ms",
        "nodes measured, ms", "error",
    )  # fmt: skip
    made = (
        "## What a profile predicts\n\n`python -m bench.studies.profile.run`: ResNet-50 pruned by "
        f"`{data['rates']}` is profiled, and the\nspeed-up that it predicts for `--round-to {data['round_to']}`"
        " is held against the network pruned so.\n\n" + table(columns, rows)
    )
    return made + _stages(data["stages"]) if "stages" in data else made


def _stages(found: dict[str, Any]) -> str:
    size = "x".join(map(str, found["shape"]))
    total = sum(found["stages_ms"].values())
    rows = [(stage, f"{ms:.1f}", f"{ms / total:.1%}") for stage, ms in found["stages_ms"].items()]
    head = f"\nThe stages of a dense {found['model']} at {size}, threads {found['threads']}:\n\n"
    return head + table(("stage", "ms", "share"), rows)


SECTION: Final = Section(order=65, text=text, timed=True)
