"""What is to be measured, and what was found so far."""

from dataclasses import dataclass, field
from typing import Final

from bench.candidates import Candidate
from bench.halt import Halt
from bench.measure import STANDARD, MeasureSettings, Progress
from bench.results import BenchResult, Search, Served
from compressor.base.errors import UsageError
from compressor.base.pace import Say, unheard
from export.backends import SessionOptions

_MOST_QUERIES: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server is asked for.

    Attributes:
        rate_per_s: queries a second, on average; None measures no given rate.
        p99_ms: limit for which the highest rate is looked for; None looks for none.
        queries: in a stream; None for 1000.

    Raises:
        UsageError: a number is out of its range.
    """

    rate_per_s: float | None = None
    p99_ms: float | None = None
    queries: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("--rate-per-s", self.rate_per_s), ("--p99-ms", self.p99_ms)):
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} {value:g}", "give a number above 0.")
        if self.queries is not None and not 0 < self.queries <= _MOST_QUERIES:
            raise UsageError(f"--queries {self.queries}", f"give a number from 1 to {_MOST_QUERIES:,}.")

    def refuse(self) -> None:
        """Refuse all of it, for what is no server.

        Raises:
            UsageError: something of it was given.
        """
        given = (("--rate-per-s", self.rate_per_s), ("--p99-ms", self.p99_ms), ("--queries", self.queries))
        for name, value in given:
            if value is not None:
                raise UsageError(f"{name} is for a server", "give --mode server, or leave it out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A benchmark on one runtime.

    Attributes:
        models: the baseline first; names are unique.
        backend: name in `export.backends.BACKENDS`.
        options: device and threads.
        batches: samples per call, each measured on its own; None for what the mode takes.
        settings: how long and how carefully, per model and batch size.
        seed: of the inputs, of arrivals and of the bootstrap.
        data: data set whose images are fed; None for noise.
        load: of a server.
        progress: called between blocks.
        say: told what is finished.
        halt: what ends it early.
    """

    models: tuple[Candidate, ...]
    backend: str
    options: SessionOptions
    batches: tuple[int, ...] | None = None
    settings: MeasureSettings = STANDARD
    seed: int = 0
    data: str | None = None
    load: Load = Load()
    progress: Progress = lambda what, done, total: None
    say: Say = unheard
    halt: Halt = field(default_factory=Halt)


@dataclass(slots=True)
class Findings:
    """What was measured so far; whatever is in it survives an interruption.

    Attributes:
        results: times of calls.
        served: answers to queries that came at random.
        searches: for the highest rate.
        notes: what applies to all of them.
    """

    results: list[BenchResult] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
