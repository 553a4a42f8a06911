"""Measuring layers over widths: all widths of a layer stand in one file, and run in turn in every call.

Only the ratio of a width's time to the dense width's is used, and both come from the same calls: a machine
that is slower for a while is slower for both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from bench.layers.dense import points
from bench.layers.grid import Grid
from bench.layers.table import Entry, Key
from bench.profile.probes import Probes
from compressor.base.errors import CompressError

_WORK_MACS: Final = 2_000_000_000
"""Of one file: enough to time, not so much that a call takes long."""

Told = Callable[[int, int], None]


def measured(keys: Sequence[Key], block: int, probes: Probes, told: Told) -> Iterator[Entry]:
    """Yield the entries of layers, those of a file as soon as it is measured.

    Args:
        keys: of the layers.
        block: of the runtime's layout.
        probes: of the runtime.
        told: how many layers are done, out of how many.

    Raises:
        CompressError: a layer did not show in the runtime's profile.
    """
    done = 0
    for together in _files(keys, block):
        wanted = [(key, into, out) for key in together for into, out in points(key, block)]
        times = probes.convolutions([key[0].trial(into, out) for key, into, out in wanted])
        if times is None or not all(ms > 0 for ms in times):
            raise CompressError(
                f"{together[0][0].describe()} left no time in the runtime's profile", "report this layer."
            )
        ms = dict(zip(wanted, times, strict=True))
        done += len(together)
        told(done, len(keys))
        yield from (_entry(key, block, ms) for key in together)


def _entry(key: Key, block: int, ms: dict[tuple[Key, int, int], float]) -> Entry:
    at = points(key, block)
    into, out = (tuple(dict.fromkeys(side)) for side in zip(*at, strict=True))
    rows = tuple(tuple(ms[key, i, o] for o in out) for i in into)
    return Entry(signature=key[0], grid=Grid(into=into, out=out, ms=rows))


def _files(keys: Iterable[Key], block: int) -> Iterator[list[Key]]:
    """Yield layers in files of about equal work."""
    together: list[Key] = []
    work = 0
    for key in keys:
        together.append(key)
        work += sum(_macs(key, into, out) for into, out in points(key, block))
        if work >= _WORK_MACS:
            yield together
            together, work = [], 0
    if together:
        yield together


def _macs(key: Key, into: int, out: int) -> int:
    trial = key[0].trial(into, out)
    return trial.layer.macs(trial.taken, trial.taken)
