"""Two documents of ``compress bench``: did a model become slower, relative to its own baseline?

Stored milliseconds of two runs cannot be compared: machines differ and drift. What a run measured next to
each other can: r of a round is ln(model / baseline) of its blocks, and the difference of the mean r of both
documents says how much slower the model became against the same baseline. Its interval is Welch's. That is
weaker than measuring both models in one job: each document comes out of one process, whose own shift is in
all of its rounds and in no interval.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from bench.comparison import BenchReport
from bench.gate.metrics import check_calls, log_ratio, over_all
from bench.gate.rule import (
    Decision,
    Limits,
    OnOpen,
    Round,
    Verdict,
    decide_between,
    detectable_between,
)
from bench.results import BenchResult
from bench.statistics import MIN_ROUNDS
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from export.backends import BACKENDS

CONDITIONS: Final = (
    "entries", "baseline", "device", "precision", "input", "runtime", "threads", "cpu", "gpu",
)  # fmt: skip
"""What has to be the same in both documents."""

_RANGE_MS: Final = (1e-6, 1e9)
"""A call that takes less than a nanosecond or more than a week is damage, and no figure to compute with."""

_SHOWN: Final = 5

_AGAIN: Final = "measure again: compress bench BASELINE MODEL -o FILE."


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is paired."""

    model: str
    backend: str
    batch: int

    def __str__(self) -> str:
        return f"{foreign(self.model)} on {foreign(self.backend)}, batch {self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model and the baseline that was measured in the same rounds."""

    baseline: BenchResult
    model: BenchResult

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Both models, round by round."""
        pairs = zip(self.baseline.samples_ms, self.model.samples_ms, strict=True)
        return tuple({"baseline": baseline, "candidate": model} for baseline, model in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What two documents say of one model.

    Attributes:
        key: which model, where.
        metric: what was compared.
        verdict: what CI is told.
        weak: whether the interval left it open, so that ``verdict`` is what the user wants then.
        decision: how much slower it became, relative to its baseline.
        before: time of the model over time of its baseline in the old document.
        after: in the new one.
        detectable: smallest regression that documents like these could tell.
        ratios: r of each round of the new document, less the mean of the old one.
    """

    key: Key
    metric: str
    verdict: Verdict
    weak: bool
    decision: Decision
    before: float
    after: float
    detectable: float
    ratios: tuple[float, ...]


def entries_of(report: BenchReport, where: str) -> dict[Key, Entry]:
    """Return every model of a document with its baseline.

    Raises:
        UsageError: there is none, one occurs twice, its rounds cannot be paired with the baseline's, or they
            hold times that no model has.
    """
    firsts: dict[tuple[str, int], BenchResult] = {}
    found: dict[Key, Entry] = {}
    for result in report.results:
        settings = result.settings
        first = firsts.setdefault((settings.backend, settings.batch), result)
        key = Key(result.model, settings.backend, settings.batch)
        if first is result:
            continue
        if key in found or result.model == first.model:
            raise UsageError(f"{where} has {key} twice", _AGAIN)
        found[key] = _entry(first, result, f"{where}: {key}")
    if not found:
        raise UsageError(
            f"{where} holds no model beside a baseline, only milliseconds, which say nothing elsewhere",
            "measure both in one document: compress bench BASELINE MODEL -o FILE.",
        )
    return found


def _entry(baseline: BenchResult, model: BenchResult, where: str) -> Entry:
    rounds = len(model.samples_ms)
    if rounds != len(baseline.samples_ms) or rounds < MIN_ROUNDS:
        words = f"{where} has {rounds} rounds, its baseline {len(baseline.samples_ms)}"
        raise UsageError(f"{words}; {MIN_ROUNDS} of both are needed", _AGAIN)
    blocks = (*baseline.samples_ms, *model.samples_ms)
    if not all(blocks):
        raise UsageError(f"{where} has a round without calls", _AGAIN)
    if not all(_RANGE_MS[0] <= ms <= _RANGE_MS[1] for block in blocks for ms in block):
        raise UsageError(f"{where} has times that no model has", _AGAIN)
    return Entry(baseline=baseline, model=model)


def differences(new: Mapping[Key, Entry], old: Mapping[Key, Entry]) -> dict[str, str]:
    """Return the conditions under which two documents were measured differently, and how, in words."""
    found: dict[str, str] = {}
    lacking = [f"only {name} has {key}" for name, keys in _lacking(new, old).items() for key in keys]
    if lacking:
        more = [f"{len(lacking) - _SHOWN} more"] if len(lacking) > _SHOWN else []
        found["entries"] = "; ".join(lacking[:_SHOWN] + more)
    for key in sorted(new.keys() & old.keys()):
        now, before = conditions(new[key]), conditions(old[key])
        for name in CONDITIONS[1:]:
            if now[name] != before[name]:
                found.setdefault(name, f"{foreign(before[name])} in OLD, {foreign(now[name])} in NEW ({key})")
    return found


def _lacking(new: Mapping[Key, Entry], old: Mapping[Key, Entry]) -> dict[str, list[Key]]:
    return {"NEW": sorted(new.keys() - old.keys()), "OLD": sorted(old.keys() - new.keys())}


def conditions(entry: Entry) -> dict[str, str]:
    """Return what a ratio depends on beside the model, by the names of `CONDITIONS`."""
    settings, machine = entry.model.settings, entry.model.environment
    packages = BACKENDS.alone(settings.backend).packages
    versions = [f"{name} {machine[name]}" for name in packages if name in machine]
    gpus = [value for name, value in sorted(machine.items()) if name.startswith("gpu") and "name" in name]
    return {
        "baseline": entry.baseline.digest,
        "device": settings.device,
        "precision": f"{settings.precision} against {entry.baseline.settings.precision}",
        "input": ", ".join("x".join(map(str, shape)) for shape in settings.shapes) or "unknown",
        "runtime": ", ".join(versions) or "unknown",
        "threads": str(settings.threads or "as the runtime chooses"),
        "cpu": f"{machine.get('cpu', 'unknown')} ({machine.get('instruction_sets', 'unknown')})",
        "gpu": ", ".join(gpus) or "none",
    }


def check_conditions(found: Mapping[str, str], ignored: Collection[str]) -> None:
    """Refuse documents of different conditions, except those that the user leaves out of account.

    Raises:
        UsageError: naming all that are left.
    """
    left = {name: words for name, words in found.items() if name not in ignored}
    if left:
        raise UsageError(
            "the documents were measured differently: "
            + "; ".join(f"{name}: {words}" for name, words in left.items()),
            f"measure both models in one job, or say --ignore {','.join(left)} where that does no harm.",
        )


def compare(key: Key, new: Entry, old: Entry, metric: str, limits: Limits, on_open: OnOpen) -> Compared:
    """Return what the rounds of two documents say of a model.

    Raises:
        UsageError: too few calls for the metric.
    """
    now = _ratios(new, metric, limits.alpha, f"NEW: {key}")
    before = _ratios(old, metric, limits.alpha, f"OLD: {key}")
    expected_ms = over_all(new.rounds, metric, "candidate") / math.exp(fmean(now) - fmean(before))
    decision = decide_between(now, before, limits.threshold(expected_ms), limits.alpha)
    return Compared(
        key=key,
        metric=metric,
        verdict=on_open if decision.outcome == "open" else decision.outcome,
        weak=decision.outcome == "open",
        decision=decision,
        before=math.exp(fmean(before)),
        after=math.exp(fmean(now)),
        detectable=detectable_between(now, before, limits.alpha),
        ratios=tuple(r - fmean(before) for r in now),
    )


def _ratios(entry: Entry, metric: str, alpha: float, where: str) -> Sequence[float]:
    calls = min(sum(map(len, one.samples_ms)) for one in (entry.baseline, entry.model))
    check_calls(metric, calls, alpha, f"and {where} has", "measure again with more --seconds.")
    return [log_ratio(metric, one["baseline"], one["candidate"]) for one in entry.rounds]
