"""The values that flow through the program: frozen, JSON-able, with no behaviour beyond reading them.

Conventions. One MAC is one fused multiply-add. ``macs`` without a qualifier counts convolutions and linear
layers only, for a batch of one. A *unit* is the smallest set of channels that lives or dies together; a
*group* is a set of interchangeable units; *keep* lists what survives; a *rate* is the share that is removed.
"""

import math
from dataclasses import dataclass, field

from compressor.errors import UsageError

MOST_ELEMENTS = 2**28
"""Elements of one input of one sample, a gigabyte in single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What a model takes: one shape per input, without the batch axis, and how images are normalised.

    Attributes:
        shapes: one shape per positional input of ``forward``, channels first.
        mean: per-channel mean of the training images in 0..1, subtracted from the first input.
        std: per-channel standard deviation, in 0..1.
        ranges: lowest and highest example value of each input; without it, examples are normal noise.
        max_batch: most samples in a call; None for any number.
    """

    shapes: tuple[tuple[int, ...], ...]
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    ranges: tuple[tuple[float, float], ...] = ()
    max_batch: int | None = None

    def __post_init__(self) -> None:
        numbers = [n for shape in self.shapes for n in shape]
        known = 1 <= len(self.shapes) <= 16 and all(1 <= len(shape) <= 5 for shape in self.shapes)
        if not known or any(n < 1 for n in numbers) or any(math.prod(s) > MOST_ELEMENTS for s in self.shapes):
            raise UsageError(
                f"input {str(self.shapes)[:80]} is no input that a model could take",
                f"give 1 to 16 shapes of positive numbers, at most {MOST_ELEMENTS:,} elements: 3x224x224.",
            )
        if any(value <= 0 for value in self.std) or (self.max_batch is not None and self.max_batch < 1):
            raise UsageError(
                f"std is {self.std}, max_batch {self.max_batch}", "both are above 0; leave max_batch out."
            )

    @property
    def image(self) -> tuple[int, ...]:
        """Shape of the first input, (channels, height, width) for an image model."""
        return self.shapes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Size and work of a model for one image.

    Attributes:
        params: number of parameter elements (buffers are not parameters).
        macs: multiply-adds of convolutions and linear layers, batch of one.
        thop_macs: thop's figure, which also counts norms and pooling; None where it was not measured.
    """

    params: int
    macs: int
    thop_macs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Interchangeable units: removing unit u removes one position (or a fixed few) of every member axis.

    Attributes:
        name: module path of the first producer in execution order.
        size: number of units.
        producers: parameters whose output axis carries the units, in execution order.
        consumers: parameters whose input axis reads the units.
        members: every ``tensor:axis`` that shrinks with the group.
        frozen: why no unit may be removed, or None.
        inexact: why removing units changes what survives (for instance a norm over channels), or None.
    """

    name: str
    size: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    members: tuple[str, ...]
    frozen: str | None = None
    inexact: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDecision:
    """What the plan does to one group: requested and achieved side by side.

    Attributes:
        name: the group's name.
        size: units before.
        requested: units that the rate alone would keep.
        kept: units that are kept after rounding and protection.
        reason: why ``kept`` differs from ``requested``, or why the group is whole; may be empty.
    """

    name: str
    size: int
    requested: int
    kept: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleReport:
    """Result of comparing the shrunk model with the masked one.

    Attributes:
        max_relative_difference: largest output difference over the largest output; None if refused.
        limit: what was allowed.
        refused: why the two are not comparable, in words, or None.
    """

    max_relative_difference: float | None
    limit: float
    refused: str | None = None


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
