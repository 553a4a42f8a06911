"""Devices by name."""

import re

import torch

from compressor.base.errors import BackendMissingError, UsageError
from compressor.base.text import foreign


def check_device(name: str) -> None:
    """Refuse a name that is none of a device.

    Raises:
        UsageError: naming the ones there are.
    """
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise UsageError(f"unknown device {foreign(name)!r}", "use cpu, cuda, or cuda:0, cuda:1 ...")


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
