"""What a user asks of a network's time, and what was reached."""

import math
import re
from dataclasses import dataclass
from typing import Final, Self

from bench.statistics import Speedup
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.rates import Scope

TOLERANCE: Final = 0.03
"""How far a measured time may be from the target, beyond its interval."""

_WIDE: Final = 1.2
"""An interval whose ends differ by this factor leaves room for a miss that matters."""

_ASKED: Final = re.compile(r"([0-9.eE+-]+)\s*(ms)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A latency and where it holds; exactly one of ``share`` and ``ms`` is given.

    Attributes:
        share: of the model's latency before the cut, in (0, 1].
        ms: milliseconds of a call.
        target: runtime, a name in `export.backends.BACKENDS`.
        threads: of the runtime; None leaves the choice to it.
        batch: samples per call.
        scope: how widths are spread: as ``compress prune --scope``.
        round_to: widths become multiples of this; None takes what the target likes.
        table: a latency table that was measured before, maybe elsewhere; None measures one.
        foreign_table: whether a table of another place is used as it is.
        seconds: of measuring, per candidate.

    Raises:
        UsageError: a number is out of its range.
    """

    share: float | None = None
    ms: float | None = None
    target: str = "onnxruntime"
    threads: int | None = None
    batch: int = 1
    scope: Scope = "worth"
    round_to: int | None = None
    table: str | None = None
    foreign_table: bool = False
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if (self.share is None) == (self.ms is None):
            raise UsageError("a latency is a share or milliseconds", "give one: 0.5, or 25ms.")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(
                f"--latency {self.share:g} is not in (0, 1]",
                "give the share of the latency that may remain, for instance 0.5, or milliseconds: 25ms.",
            )
        if self.ms is not None and not (self.ms > 0 and math.isfinite(self.ms)):
            raise UsageError(f"--latency {self.ms:g}ms is no time", "give a number above 0: 25ms.")
        if self.batch < 1 or not 0 < self.seconds < math.inf:
            raise UsageError("a latency needs a batch and seconds above 0", "leave them out for 1 and 5.")
        if self.foreign_table and not self.table:
            raise UsageError("--foreign-table speaks of a table", "give --table FILE with it.")

    @classmethod
    def asked(cls, text: str, **where: object) -> Self:
        """Return what a user typed: ``0.5`` or ``25ms``.

        Raises:
            UsageError: it is neither.
        """
        found = _ASKED.fullmatch(text.strip())
        try:
            number = float(found[1]) if found else math.nan
        except ValueError:
            number = math.nan
        if found is None or math.isnan(number):
            raise UsageError(
                f"--latency {foreign(text)} is no latency", "give a share, 0.5, or milliseconds, 25ms."
            )
        return cls(**{"ms" if found[2] else "share": number}, **where)  # type: ignore[arg-type]

    def describe(self) -> str:
        """Return it in words."""
        asked = f"{self.share:g} of the latency" if self.ms is None else f"{self.ms:g} ms"
        threads = "" if self.threads is None else f", {self.threads} threads"
        return f"{asked} on {self.target}, batch {self.batch}{threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One network that was cut to a predicted time.

    Attributes:
        predicted: share of the time before the cut.
        speedup: measured beside the model before the cut; None where nothing could be measured.
    """

    predicted: float
    speedup: Speedup | None = None

    @property
    def share(self) -> float | None:
        """The measured share of the time before the cut."""
        return None if self.speedup is None else 1 / self.speedup.value

    def miss(self, target: float) -> float:
        """Return how far the measured share is from a target, relative to it, beyond its interval."""
        if self.speedup is None:
            return math.inf
        low, high = 1 / self.speedup.high, 1 / self.speedup.low
        return max(0.0, low - target, target - high) / target


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of an aim.

    Attributes:
        aim: what was asked.
        share: of the time before the cut that this means.
        dense_ms: median time before the cut; None where nothing was measured.
        trials: in order.
        kept: number of the trial that was kept, from 0.
    """

    aim: Aim
    share: float
    trials: tuple[Trial, ...]
    kept: int
    dense_ms: float | None = None

    @property
    def met(self) -> bool:
        """Whether what was kept is within the tolerance."""
        return self.trials[self.kept].miss(self.share) <= TOLERANCE

    @property
    def measured(self) -> bool:
        """Whether anything was measured: a table of another place only predicts."""
        return self.trials[self.kept].speedup is not None

    def describe(self) -> str:
        """Return target, prediction and measurement in one sentence."""
        trial = self.trials[self.kept]
        words = f"latency: target {self.share:.3f} of the model before, predicted {trial.predicted:.3f}"
        if trial.speedup is None:
            return f"{words}; not measured: the table is of another place, compress bench measures there"
        speedup = trial.speedup
        interval = f"{1 / speedup.high:.3f}..{1 / speedup.low:.3f}"
        words = f"{words}, measured {1 / speedup.value:.3f} ({interval}), {speedup.value:.2f}x"
        doubt = "; too noisy to be sure" if speedup.high > _WIDE * speedup.low else ""
        return f"{words} on {self.aim.target}" + ("" if self.met else "; not met") + doubt
