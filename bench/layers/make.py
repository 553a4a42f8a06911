"""From an exported dense model to its latency table."""

from dataclasses import replace
from pathlib import Path

from bench.candidates import Candidate
from bench.layers.cache import Cache
from bench.layers.dense import Dense, run_dense
from bench.layers.measure import measured
from bench.layers.names import Names
from bench.layers.table import Entry, Key, LatencyTable, Part, Where, numbered
from bench.profile.probes import Probes
from bench.profile.run import Teller
from bench.profile.runtimes import profiler_of
from compressor.base.pace import Say


def measured_table(
    model: str, candidate: Candidate, where: Where, names: Names, *, say: Say, cache: Path | None = None
) -> LatencyTable:
    """Profile a dense model on this machine, and measure over widths what its layers were never measured at.

    Args:
        model: its name.
        candidate: its exported file.
        where: this machine: `bench.layers.here.here`.
        names: of modules in the file -> of the model's, where they differ.
        say: told how far it is.
        cache: folder of earlier times; None is the user's.

    Raises:
        UsageError: the file does not run, or the backend cannot say the time of its nodes.
        BackendMissingError: the runtime is not installed.
    """
    profiler = profiler_of(where.backend)
    say(f"profiling {candidate.name}")
    ran = run_dense(candidate, profiler, where, Teller(say, candidate.name))
    entries = _entries(ran, where, Probes(profiler=profiler, threads=where.threads), Cache(where, cache), say)
    return LatencyTable(
        model=model, where=where, call_ms=ran.call_ms,
        parts=tuple(_renamed(part, names) for part in numbered(ran.parts, entries)),
        entries=tuple(entries.values()),
    )  # fmt: skip


def _renamed(part: Part, names: Names) -> Part:
    makers = tuple(names.get(maker, maker) for maker in part.makers)
    return replace(part, module=names.get(part.module, part.module), makers=makers)


def _entries(ran: Dense, where: Where, probes: Probes, cache: Cache, say: Say) -> dict[Key, Entry]:
    known = cache.read()
    missing = [key for key in ran.keys if key not in known]

    def told(done: int, total: int) -> None:
        say(f"measuring layers over widths: {done} of {total}")

    for entry in measured(missing, where.block, probes, told):
        known[entry.key] = entry
        cache.write(known)
    return {key: known[key] for key in ran.keys}
