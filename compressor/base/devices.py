"""Devices by name."""

import torch

from compressor.base.device_names import check_device
from compressor.base.errors import BackendMissingError


def open_device(name: str) -> torch.device:
    """Return a device that is really there.

    Raises:
        UsageError: the name means nothing.
        BackendMissingError: CUDA was asked for and is not usable.
    """
    check_device(name)
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        words = name.replace("cuda", "CUDA")
        raise BackendMissingError(f"{words} is not usable here", "use --device cpu, or see: compress doctor.")
    return torch.device(name)
