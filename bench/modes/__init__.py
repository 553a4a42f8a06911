"""Ways to measure, one file each: a registry of modes that turn a job into findings."""

from typing import Final, Protocol

from bench.job import Findings, Job
from bench.opening import Run
from compressor.base.registry import Registry

__all__ = ["MODES", "Mode"]


class Mode(Protocol):
    """A way to measure."""

    @property
    def scenario(self) -> str:
        """What MLPerf Inference calls it."""

    def batches(self, job: Job) -> tuple[int, ...]:
        """Return the numbers of samples per call that it certainly measures, for a check before it starts.

        Raises:
            UsageError: the job asks for what this mode does not do.
        """

    def measure(self, run: Run, found: Findings) -> None:
        """Measure, and put every finding into ``found`` as soon as it is there.

        Raises:
            UsageError: a bad file.
            BackendMissingError: the device is not usable.
        """


MODES: Final[Registry[Mode]] = Registry("mode", "bench.modes")
