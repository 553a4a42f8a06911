"""Under which conditions a measurement ran: clocks and throttling before and after it, placement, memory.

`bench.environment` says which machine it was, this says in which state. `bench.readings` reads it.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

Readings = dict[str, str]
"""Names and values as flat text: ``cpu_mhz`` has one figure per CPU, counters only grow."""

_REASONS: Final = "clocks_throttle_reasons_active"
_HELD_BACK: Final = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "heat (driver)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
"""Bits of NVML's nvmlClocksThrottleReasons that mean slower than asked for; being idle is none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The state of the machine around a measurement.

    Attributes:
        before: clocks, load and throttling before the first call.
        after: the same after the last call.
        affinity: CPUs that the process may use, as ``0-3,8``; "" where the system does not tell.
        usable_cores: how many those are.
        peak_memory_bytes: most memory that the process held at once, all open sessions together; None where
            the system does not tell.
        git_commit: what is checked out in the working directory; None where there is no repository or no
            git. Whether files differ from it is not looked at: to ask can start what a repository names.
    """

    before: Readings
    after: Readings
    affinity: str
    usable_cores: int
    peak_memory_bytes: int | None
    git_commit: str | None


def spanning(parts: Sequence[Conditions]) -> Conditions | None:
    """Return the conditions of measurements that followed each other; None of none."""
    if not parts:
        return None
    peaks = [part.peak_memory_bytes for part in parts if part.peak_memory_bytes is not None]
    return replace(parts[-1], before=parts[0].before, peak_memory_bytes=max(peaks, default=None))


def warnings_of(conditions: Conditions) -> tuple[str, ...]:
    """Return what readers of the times must know: clocks that fell, and who took the CPU away."""
    before, after = conditions.before, conditions.after
    heat = _grown(before, after, "heat_throttled_count")
    quota_ms = _grown(before, after, "quota_throttled_ms")
    said = [
        f"heat throttled the CPU {heat:.0f} times while measuring" if heat else "",
        f"the CPU quota of this container held the process up for {quota_ms:.0f} ms" if quota_ms else "",
        _stolen_warning(before, after),
        _clock_warning(before, after),
        *_gpu_warnings(after),
    ]
    return tuple(words for words in said if words)


def _stolen_warning(before: Readings, after: Readings) -> str:
    passed_ms = 1e3 * _grown(before, after, "uptime_s") * (os.cpu_count() or 1)
    share = _grown(before, after, "stolen_ms") / passed_ms if passed_ms else 0.0
    return f"other guests of this machine took {share:.0%} of its CPU time" if share >= 0.01 else ""


def _clock_warning(before: Readings, after: Readings) -> str:
    clocks = [fmean(map(float, at["cpu_mhz"].split())) for at in (before, after) if "cpu_mhz" in at]
    if len(clocks) < 2 or clocks[1] >= 0.9 * clocks[0]:
        return ""
    return f"the CPU's clocks fell from {clocks[0]:.0f} to {clocks[1]:.0f} MHz"


def _gpu_warnings(after: Readings) -> list[str]:
    said = []
    for name, value in after.items():
        gpu, _, field = name.partition("_")
        if field == _REASONS and re.fullmatch(r"0x[0-9a-fA-F]+", value):
            held = ", ".join(words for bit, words in _HELD_BACK.items() if int(value, 16) & bit)
            said += [f"{gpu} held its clocks back at the end: {held}"] if held else []
    return said


def _grown(before: Mapping[str, str], after: Mapping[str, str], name: str) -> float:
    """Return by how much a counter grew; 0 where it is not known."""
    return float(after[name]) - float(before[name]) if name in before and name in after else 0.0
