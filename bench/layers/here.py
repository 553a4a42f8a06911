"""This machine as the place where a table holds."""

from bench.environment import environment
from bench.layers.table import Where
from bench.profile.runtimes import profiler_of
from compressor.base.system import installed
from export.backends import BACKENDS


def here(backend: str, *, threads: int | None, batch: int, precision: str = "fp32") -> Where:
    """Return what decides the time of layers on this machine.

    Raises:
        UsageError: there is no such backend, or it cannot say the time of its nodes.
    """
    profiler, machine = profiler_of(backend), environment()
    versions = installed(BACKENDS.get(backend).packages)
    return Where(
        backend=backend,
        version=" ".join(f"{name} {version}" for name, version in versions.items()),
        processor=" ".join(filter(None, (machine.get("cpu"), machine.get("instruction_sets")))),
        threads=threads,
        batch=batch,
        precision=precision,
        block=profiler.multiple(precision),
    )
