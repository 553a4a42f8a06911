"""The CUDA device as far as we need it beside TensorRT: memory, one stream, graphs, and what it is.

Everything that touches CUDA memory is behind two small protocols, so that the rest can be tested without it.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch

from export.backends import Array

Shape = tuple[int, ...]
Launch = Callable[[], None]

_DRIVER: Final = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """What an engine depends on besides TensorRT.

    Attributes:
        name: marketing name, for instance ``Tesla T4``.
        compute_capability: for instance ``7.5``.
        cuda: version that torch was built with.
        driver: version of the kernel module, ``unknown`` where the system does not tell.
    """

    name: str
    compute_capability: str
    cuda: str
    driver: str


class Buffer(Protocol):
    """Device memory for one tensor, zero at first."""

    @property
    def address(self) -> int:
        """Where it starts."""

    def upload(self, array: Array) -> None:
        """Copy an array of the buffer's shape and type to the device."""

    def download(self) -> Array:
        """Return a copy in host memory, which later runs do not touch."""


class Device(Protocol):
    """One GPU with one stream of its own: on the default stream TensorRT synchronises at every step."""

    @property
    def facts(self) -> GpuFacts:
        """What it is."""

    @property
    def stream(self) -> int:
        """Handle of the stream."""

    def active(self) -> AbstractContextManager[None]:
        """Make this device and its stream the current ones of the thread."""

    def buffer(self, shape: Shape, dtype: np.dtype[Any]) -> Buffer:
        """Allocate memory."""

    def synchronize(self) -> None:
        """Wait until the stream is empty."""

    def captured(self, launch: Launch) -> Launch:
        """Record what ``launch`` enqueues as a CUDA graph; calling the result replays it.

        Raises:
            RuntimeError: the work cannot be recorded.
        """


class TorchBuffer:
    """Memory that torch allocates."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any], device: torch.device) -> None:
        like = torch.from_numpy(np.empty(0, dtype))
        self._tensor = torch.zeros(shape, dtype=like.dtype, device=device)
        self.address = self._tensor.data_ptr()

    def upload(self, array: Array) -> None:
        """Copy to the device; see `Buffer.upload`."""
        self._tensor.copy_(torch.from_numpy(np.require(array, requirements=["C", "W"])))

    def download(self) -> Array:
        """Copy to the host; see `Buffer.download`."""
        return self._tensor.to("cpu", copy=True).numpy()


class CudaDevice:
    """A GPU, through torch."""

    def __init__(self, index: int) -> None:
        self._device = torch.device("cuda", index)
        self._stream = torch.cuda.Stream(self._device)
        self.facts = gpu_facts(index)

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return int(self._stream.cuda_stream)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this device current; see `Device.active`."""
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield

    def buffer(self, shape: Shape, dtype: np.dtype[Any]) -> TorchBuffer:
        """Allocate memory; see `Device.buffer`."""
        return TorchBuffer(shape, dtype, self._device)

    def synchronize(self) -> None:
        """Wait until the stream is empty."""
        self._stream.synchronize()

    def captured(self, launch: Launch) -> Launch:
        """Record a CUDA graph; see `Device.captured`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            launch()
        return graph.replay


def driver_version(text: str) -> str:
    """Return the version in the text of /proc/driver/nvidia/version, ``unknown`` where there is none."""
    found = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", text)
    return found.group(1) if found else "unknown"


def installed_driver() -> str:
    """Return the version of the NVIDIA driver, ``unknown`` where the system does not tell."""
    try:
        return driver_version(_DRIVER.read_text())
    except OSError:
        return "unknown"


def gpu_facts(index: int) -> GpuFacts:
    """Return what CUDA device ``index`` is."""
    major, minor = torch.cuda.get_device_capability(index)
    return GpuFacts(
        name=torch.cuda.get_device_name(index),
        compute_capability=f"{major}.{minor}",
        cuda=str(torch.version.cuda),
        driver=installed_driver(),
    )
