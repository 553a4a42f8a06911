"""What a benchmark leaves: raw samples, and how they were taken."""

from dataclasses import dataclass, field

from bench.queries import holds
from bench.statistics import significant


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """How a benchmark ran: everything that would have to be repeated.

    Attributes:
        backend: runtime.
        device: ``cpu`` or ``cuda``.
        precision: ``fp32``, ``fp16``, ``int8``, what else a file was found to have, or ``unknown``.
        threads: intra-op threads of the runtime; None where the runtime chooses.
        batch: images per call.
        blocks: how many interleaved blocks each model ran.
        runs_per_block: timed calls per block.
        warmup_runs: calls before the first timed one, until times were steady.
        discarded_runs: untimed calls at the start of every block.
        gap_ms: idle time before every block, so that threads of the model before it stop spinning.
        budget_s: timed seconds that were asked for, per model and batch.
        seed: of the random input.
        shapes: of the inputs, without the batch axis; empty in documents of older versions.
        spinning: what idle threads of the runtime do after a call: ``default``, its own habit, or
            ``stopped``, so that they do not take the cores of the model that is next.
        placement: CPUs that each thread may use which the runtime started as it opened the model, as
            ``0-3``; empty where it started none then, and off Linux.
    """

    backend: str
    device: str
    precision: str
    threads: int | None
    batch: int
    blocks: int
    runs_per_block: int
    warmup_runs: int
    discarded_runs: int
    gap_ms: float
    budget_s: float
    seed: int = 0
    shapes: tuple[tuple[int, ...], ...] = ()
    spinning: str = "default"
    placement: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Raw samples of one model under one setting.

    Attributes:
        model: what was measured, as the user named it.
        digest: sha256 of the file that ran.
        settings: how it ran.
        samples_ms: one list per block, in the order measured; milliseconds per call of a whole batch.
        environment: machine, driver, clocks and versions, by name.
        notes: whatever makes the result less trustworthy, in words.
    """

    model: str
    digest: str
    settings: BenchSettings
    samples_ms: tuple[tuple[float, ...], ...]
    environment: dict[str, str]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """Images that were fed, where it was not noise.

    Attributes:
        data: name of the data set.
        split: of which they are.
        images: how many different ones; calls go through them in a shuffled order.
        synthetic: whether the data set itself is random.
    """

    data: str
    split: str
    images: int
    synthetic: bool

    def describe(self) -> str:
        """Return it in words."""
        kind = "synthetic images" if self.synthetic else "images"
        return f"inputs are {self.images} {kind} of {self.data}, {self.split}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How queries were answered; fields mean what they mean in `BenchSettings`.

    Attributes:
        batch: images of a query.
        rate_per_s: queries a second, on average.
        seed: of the arrivals and of random input.
    """

    backend: str
    device: str
    precision: str
    threads: int | None
    batch: int
    rate_per_s: float
    warmup_runs: int
    seed: int
    shapes: tuple[tuple[int, ...], ...]
    spinning: str
    placement: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Queries that came at random and were answered one after the other.

    Attributes:
        model: what answered, as the user named it.
        digest: sha256 of the file.
        settings: how.
        samples_ms: from arrival to answer, waiting included, in the order of arrival.
        notes: whatever makes the result less trustworthy, in words.
    """

    model: str
    digest: str
    settings: ServerSettings
    samples_ms: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A rate that was tried.

    Attributes:
        rate_per_s: queries a second, on average.
        queries: that were answered; fewer than planned where too many were late before.
        late: how many of those came later than allowed.
    """

    rate_per_s: float
    queries: int
    late: int

    @property
    def met(self) -> bool:
        """Whether it is shown, with 99 % confidence, that 99 % of all queries are in time."""
        return holds(self.queries, self.late)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The search for the highest rate at which the 99th percentile stays below a limit.

    Attributes:
        model: what answered.
        backend: by which runtime.
        batch: images of a query.
        limit_ms: of the 99th percentile, from arrival to answer.
        call_ms: median of a call without any queue, before the search.
        probes: rates that were tried, in order.
    """

    model: str
    backend: str
    batch: int
    limit_ms: float
    call_ms: float
    probes: tuple[Probe, ...]

    @property
    def highest_per_s(self) -> float | None:
        """The highest rate that met the limit; None where none did."""
        return max((probe.rate_per_s for probe in self.probes if probe.met), default=None)

    def describe(self) -> str:
        """Return it in words."""
        found = self.highest_per_s
        if found is None and self.call_ms > self.limit_ms:
            return (
                f"no rate keeps p99 below {self.limit_ms:g} ms: a call takes {significant(self.call_ms)} ms"
            )
        if found is None:
            return f"no rate that was tried keeps p99 below {self.limit_ms:g} ms"
        return f"p99 stays below {self.limit_ms:g} ms up to {significant(found)} queries/s"
