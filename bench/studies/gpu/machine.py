"""The machine and its clocks, read without anything but PyTorch and ``nvidia-smi``, before and after."""

import os
import platform
import shutil
import subprocess
from typing import Final

import torch

from bench.programs import answer_of
from compressor.base.system import installed

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
        **installed(_PACKAGES),
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
    if shutil.which("nvidia-smi") is None:
        return {}
    try:
        answer = answer_of("nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader")
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia-smi": f"failed: {error}"}
    first = answer.strip().split("\n")[0].split(",")
    return dict(zip(_FIELDS, map(str.strip, first), strict=False))
