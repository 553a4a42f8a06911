"""Can TensorRT be used here, and if not, what is to be installed?

The wheel's name carries the major version of CUDA, and CUDA decides which drivers will do: 13 needs R580,
12 is content with R525, which is what many T4 servers run. TensorRT stays below 11 because ONNX Runtime's
wheel is linked to ``libnvinfer.so.10``; our own route works with both.
"""

import importlib
import re
from importlib import metadata
from typing import Final

import torch

from export.tensorrt import api as trt
from export.tensorrt.device import installed_driver

TENSORRT_PACKAGES: Final = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")

INSTALL: Final = (
    'pip install "tensorrt-cu13>=10.13,<11" (driver R580 or newer), or "tensorrt-cu12>=10.13,<11" together'
    " with a CUDA 12 build of torch (driver R525 or newer, as on many T4 servers)"
)
OLDEST: Final = (10, 13)
"""Oldest TensorRT whose names we have compared with ours; strongly typed INT8 needs about as much."""

OLDEST_CAPABILITY: Final = (7, 5)
"""Turing, the oldest architecture that these versions build for."""

_OLDEST_DRIVER: Final = {"12": 525, "13": 580}


def missing_tensorrt(device: str) -> str | None:
    """Return why TensorRT cannot use ``device`` here and what to install, or None if it can."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return "TensorRT runs on NVIDIA GPUs only; use --device cuda, or install nothing and use onnxruntime"
    return import_failure() or _cuda_failure() or _device_failure(int(index or 0))


def import_failure() -> str | None:
    """Return why TensorRT's bindings cannot be used, or None if they can."""
    try:
        importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed; {INSTALL}"
    except (ImportError, OSError) as error:
        return f"tensorrt cannot be imported ({error}); install it again: {INSTALL}"
    if version_numbers(trt.__version__) < OLDEST:
        return f"TensorRT {trt.__version__} is too old; install a newer one: {INSTALL}"
    return None


def version_numbers(version: str) -> tuple[int, int]:
    """Return major and minor of a version, (0, 0) where it is none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _cuda_failure() -> str | None:
    if not torch.cuda.is_available():
        return "torch.cuda.is_available() is false; install a driver and a CUDA build of torch that suits it"
    driver = installed_driver()
    return driver_failure(driver, [d.name for d in metadata.distributions() if d.name])


def driver_failure(driver: str, distributions: list[str]) -> str | None:
    """Return why the installed flavour of TensorRT does not run with a driver, or None if it does.

    Args:
        driver: version, for instance ``535.104.05``, or ``unknown``.
        distributions: names of all installed distributions.
    """
    flavours = {m[1] for name in distributions if (m := re.match(r"tensorrt[-_.]cu(\d+)", name.lower()))}
    branch = driver.partition(".")[0]
    if not branch.isdigit() or not flavours:
        return None
    needed = min(_OLDEST_DRIVER.get(cuda, 0) for cuda in flavours)
    if int(branch) >= needed:
        return None
    return (
        f"driver {driver} is older than R{needed}, which tensorrt-cu{max(flavours)} needs; install {INSTALL}"
    )


def _device_failure(index: int) -> str | None:
    if index >= torch.cuda.device_count():
        return f"there are {torch.cuda.device_count()} CUDA devices; install another, or use a smaller number"
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST_CAPABILITY:
        name = torch.cuda.get_device_name(index)
        has = ".".join(str(number) for number in capability)
        return f"{name} has compute capability {has}, TensorRT needs 7.5; install a Turing or newer GPU"
    return None
