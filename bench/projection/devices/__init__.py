"""Devices that can be projected to, one file each: what they sustain."""

from collections.abc import Sequence
from typing import Protocol

from bench.projection.roofline import Ceilings
from compressor.base.registry import Registry


class Device(Protocol):
    """A device with its ceilings.

    Attributes:
        title: what it is.
        source: where the ceilings come from.
    """

    @property
    def title(self) -> str:
        """What it is."""

    @property
    def source(self) -> str:
        """Where the ceilings come from."""

    def ceilings(self, threads: int | None) -> Sequence[Ceilings]:
        """Return what it sustains, one entry per precision.

        Args:
            threads: of the runtime on a CPU; a GPU has none.
        """


DEVICES: Registry[Device] = Registry("projection", "bench.projection.devices")
