"""The machine and the versions a measurement depends on, as flat text.

Read before and after measuring, never during it: on some GPUs a query stalls the kernels that run beside it.
What cannot be read on this system is left out rather than guessed.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.programs import answer_of
from compressor.base.system import CPUINFO, field_of, flags_in, installed, text_of
from export.backends import BACKENDS

_DISTRIBUTIONS: Final = (
    "torch",
    "torchvision",
    "onnxruntime-gpu",
    "onnxruntime",
    "onnx",
    "numpy",
    "tensorrt",
    "openvino",
    "triton",
)
"""In the order of documents; what else runtimes are made of follows."""

_INSTRUCTION_SETS: Final = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_tile",
    "amx_int8",
    "asimd",
    "sve",
)
_GPU_FIELDS: Final = (
    "name",
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)
_CPUFREQ: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def environment() -> dict[str, str]:
    """Return names and values, for instance ``{"cpu": "...", "physical_cores": "2", "torch": "2.14.1"}``."""
    return {**_system(), **_cpu(), **_memory(), **_versions(), **_gpu()}


def _system() -> dict[str, str]:
    found = {"os": platform.platform(), "python": platform.python_version()}
    if hasattr(os, "getloadavg"):
        found["load_average_1min"] = f"{os.getloadavg()[0]:.2f}"
    return found


def _cpu() -> dict[str, str]:
    text = text_of(CPUINFO)
    cores = set(re.findall(r"physical id\s*:\s*(\d+)[\s\S]*?core id\s*:\s*(\d+)", text))
    return _known(
        cpu=field_of(text, "model name") or platform.processor() or platform.machine(),
        logical_cores=str(os.cpu_count() or ""),
        usable_cores=_usable_cores(),
        physical_cores=str(len(cores) or ""),
        cpu_mhz=field_of(text, "cpu MHz"),
        governor=text_of(_CPUFREQ / "scaling_governor").strip(),
        instruction_sets=" ".join(name for name in _INSTRUCTION_SETS if name in flags_in(text)),
    )


def _usable_cores() -> str:
    return str(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ""


def _memory() -> dict[str, str]:
    total_kib = field_of(text_of(Path("/proc/meminfo")), "MemTotal").split(" ")[0]
    return {"memory_gib": f"{int(total_kib) / 2**20:.1f}"} if total_kib.isdigit() else {}


def _versions() -> dict[str, str]:
    runtimes = (package for name in BACKENDS for package in BACKENDS.get(name).packages)
    return installed(dict.fromkeys((*_DISTRIBUTIONS, *runtimes)))


def _gpu() -> dict[str, str]:
    return gpu_facts(_GPU_FIELDS)


def gpu_facts(fields: Sequence[str]) -> dict[str, str]:
    """Return what nvidia-smi says: ``gpu0_name``, ``gpu0_driver_version`` ...; nothing where there is none.

    Args:
        fields: of ``nvidia-smi --query-gpu``; dots become underscores.
    """
    if shutil.which("nvidia-smi") is None:
        return {}
    try:
        answer = answer_of("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader")
    except (OSError, subprocess.SubprocessError) as error:
        return {"gpu": f"nvidia-smi failed: {error}"}
    return _parsed_gpus(answer, fields)


def _parsed_gpus(answer: str, fields: Sequence[str]) -> dict[str, str]:
    """Read one line of comma-separated fields per GPU."""
    found = {}
    for index, line in enumerate(answer.strip().splitlines()):
        for field, value in zip(fields, line.split(","), strict=False):
            found[f"gpu{index}_{field.replace('.', '_')}"] = value.strip()
    return found


def _known(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
