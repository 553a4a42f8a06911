"""Reading the state of the machine, before the first call and after the last one, never in between.

What the system does not tell is left out rather than guessed.
"""

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.conditions import Conditions, Readings
from bench.environment import gpu_facts
from bench.programs import answer_of
from compressor.base.system import field_of, text_of

_PROC: Final = Path("/proc")
_CPUS: Final = Path("/sys/devices/system/cpu")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_GPU_FIELDS: Final = (
    "clocks.sm",
    "clocks.mem",
    "temperature.gpu",
    "power.draw",
    "memory.used",
    "clocks_throttle_reasons.active",
)


def conditions_since(before: Readings) -> Conditions:
    """Return the conditions of a measurement that ends now.

    Args:
        before: `readings` from before it.
    """
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return Conditions(
        before=before,
        after=readings(),
        affinity=field_of(text_of(_PROC / "self" / "status"), "Cpus_allowed_list"),
        usable_cores=len(usable),
        peak_memory_bytes=peak_memory_bytes(),
        git_commit=_git_commit(),
    )


def readings() -> Readings:
    """Return clocks, load and throttling as they are now."""
    found = {
        "uptime_s": f"{time.monotonic():.1f}",
        "cpu_mhz": " ".join(re.findall(r"^cpu MHz\s*:\s*([\d.]+)", text_of(_PROC / "cpuinfo"), re.MULTILINE)),
        "governor": text_of(_CPUS / "cpu0" / "cpufreq" / "scaling_governor").strip(),
        "load_average_1min": text_of(_PROC / "loadavg").partition(" ")[0],
        "heat_throttled_count": _heat_throttled(),
        "quota_throttled_ms": _quota_throttled_ms(),
        "stolen_ms": _stolen_ms(),
        **gpu_facts(_GPU_FIELDS),
    }
    return {name: value for name, value in found.items() if value}


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process held at once."""
    kib = field_of(text_of(_PROC / "self" / "status"), "VmHWM").partition(" ")[0]
    if kib.isdigit():
        return int(kib) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) or None


def thread_placements() -> dict[str, str]:
    """Return thread number -> CPUs that it may use, for all threads of the process; empty off Linux."""
    tasks = sorted((_PROC / "self" / "task").glob("*"))
    found = {task.name: field_of(text_of(task / "status"), "Cpus_allowed_list") for task in tasks}
    return {number: cpus for number, cpus in found.items() if cpus}


def _heat_throttled() -> str:
    counts = [text_of(path).strip() for path in _CPUS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return str(sum(int(count) for count in counts if count.isdigit())) if counts else ""


def _quota_throttled_ms() -> str:
    """Return how long the CPU quota of the control group has held its processes up."""
    own = re.search(r"^0::/(.*)$", text_of(_PROC / "self" / "cgroup"), re.MULTILINE)
    folders = [_CGROUPS / own[1] if own else _CGROUPS, _CGROUPS]
    for folder in folders:
        found = re.search(r"^throttled_usec (\d+)$", text_of(folder / "cpu.stat"), re.MULTILINE)
        if found:
            return f"{int(found[1]) / 1e3:.1f}"
    return ""


def _stolen_ms() -> str:
    """Return the CPU time that a hypervisor gave to others: the eighth figure of /proc/stat, all CPUs."""
    figures = text_of(_PROC / "stat").partition("\n")[0].split()[1:]
    if len(figures) < 8 or not figures[7].isdigit():
        return ""
    return f"{1e3 * int(figures[7]) / os.sysconf('SC_CLK_TCK'):.0f}"


def _git_commit() -> str | None:
    try:
        said = answer_of("git", "rev-parse", "HEAD").strip()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return said if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", said) else None
