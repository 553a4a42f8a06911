"""What a benchmark leaves: raw samples, and how they were taken."""

from dataclasses import dataclass, field


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
