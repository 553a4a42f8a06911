"""Ways to measure, one file each: a registry of modes that turn a job into findings."""

from typing import Final, Protocol

from bench.job import Findings, Load
from bench.opening import Run
from compressor.base.registry import Registry

__all__ = ["MODES", "Mode"]


class Mode(Protocol):
    """A way to measure."""

    @property
    def scenario(self) -> str:
        """What MLPerf Inference calls it."""

    def batches(self, asked: tuple[int, ...] | None, load: Load) -> tuple[int, ...]:
        """Return the numbers of samples per call that it certainly measures, for a check before it starts.

        Args:
            asked: by the user; None leaves the choice to the mode.
            load: of a server.

        Raises:
            UsageError: it is asked for what this mode does not do.
        """

    def measure(self, run: Run, found: Findings) -> None:
        """Measure, and put every finding into ``found`` as soon as it is there.

        Raises:
            UsageError: a bad file.
            BackendMissingError: the device is not usable.
        """


MODES: Final[Registry[Mode]] = Registry("mode", "bench.modes")
