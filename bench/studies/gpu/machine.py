"""The machine and its clocks, read without anything but PyTorch and ``nvidia-smi``, before and after."""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from typing import Final

import torch

_FIELDS: Final = (
    "name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw", "power.limit",
    "temperature.gpu", "clocks_throttle_reasons.active", "utilization.gpu", "memory.used", "mig.mode.current",
)  # fmt: skip
_PACKAGES: Final = ("torch", "torchvision", "triton", "numpy", "onnx", "onnxruntime-gpu", "tensorrt")


def machine(device: torch.device) -> dict[str, str]:
    """Return what does not change while the study runs; results of different machines are never mixed."""
    found = {
        "python": platform.python_version(), "os": platform.platform(), "cores": str(os.cpu_count()),
        "device": "cpu", "cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version()),
        **_versions(),
    }  # fmt: skip
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        found |= {
            "device": facts.name, "compute_capability": f"{facts.major}.{facts.minor}",
            "multiprocessors": str(facts.multi_processor_count),
            "memory_gib": f"{facts.total_memory / 2**30:.1f}",
        }  # fmt: skip
    return found


def clocks() -> dict[str, str]:
    """Return what ``nvidia-smi`` says of the first GPU now; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia-smi": f"failed: {error}"}
    first = answer.strip().split("\n")[0].split(",")
    return dict(zip(_FIELDS, map(str.strip, first), strict=False))


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
