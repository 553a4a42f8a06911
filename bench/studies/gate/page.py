"""The section on how often the gate is wrong."""

from statistics import median
from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]

_MODELS: Final = {"same": "the same file", "slower": "a slower file"}
_COLUMNS: Final = (
    "candidate", "machine", "gates", "PASS", "FAIL", "undecided", "rounds", "most", "seconds", "most",
)  # fmt: skip


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    found = data["slowdown"]
    groups = [
        (kind, busy, [gate for gate in data["gates"] if (gate["kind"], gate["busy"]) == (kind, busy)])
        for kind in _MODELS
        for busy in (False, True)
    ]
    rows = [_row(kind, busy, gates) for kind, busy, gates in groups if gates]
    return (
        "## How often the gate is wrong\n\n`python -m bench.studies.gate.run`: resnet56_cifar in ONNX Runtime, batch 1, "
        f"{data['threads']} thread, by the rule and the limits of\n`compress gate` (5 %, four processes). The slower file "
        f"has an extra layer and takes {found['value']:.1%} longer\n(95 % interval {found['low']:.1%} to "
        f"{found['high']:.1%}, `compress bench`). Busy: another process computes on one core all the time. Rounds\nand "
        f"seconds are medians. {_summary(data['gates'])}\n\n" + table(_COLUMNS, rows)
    )


def _row(kind: str, busy: bool, gates: list[Row]) -> tuple[object, ...]:
    rounds, seconds = [gate["rounds"] for gate in gates], [gate["seconds"] for gate in gates]
    counts = [_count(gates, verdict) for verdict in ("pass", "fail", "undecided")]
    return (
        _MODELS[kind], "busy" if busy else "quiet", len(gates), *counts, f"{median(rounds):.0f}", max(rounds),
        f"{median(seconds):.1f}", f"{max(seconds):.0f}",
    )  # fmt: skip


def _summary(gates: list[Row]) -> str:
    same, slower = ([gate for gate in gates if gate["kind"] == kind] for kind in _MODELS)
    return (
        f"Wrongly failed: {_count(same, 'fail')} of {len(same)}; caught: {_count(slower, 'fail')} of {len(slower)}; "
        f"undecided: {_count(gates, 'undecided')} of {len(gates)}."
    )


def _count(gates: list[Row], verdict: str) -> int:
    return sum(gate["verdict"] == verdict for gate in gates)


SECTION: Final = Section(order=140, text=text, timed=True)
