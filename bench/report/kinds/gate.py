"""Gates: verdicts, checks, and the rounds behind them; ratios must follow from their samples."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np

from bench.gate.metrics import METRICS, ratios_of
from bench.report.facts import Facts, Gate, GateCheck, GatedLatency
from bench.report.kinds import RESULTS, Json
from compressor.base.documents import decode
from compressor.base.errors import ArtifactError
from compressor.base.text import foreign

_AGAIN: Final = "gate again with this version."
_LARGEST: Final = 50.0
"""Of ln(candidate / baseline); beyond it is damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    candidate: str
    baseline: str
    backend: str
    verdict: Literal["pass", "fail"]
    checks: tuple[GateCheck, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latency:
    metric: str
    change: float
    low: float
    high: float
    limit: float
    detectable: float
    ratios: tuple[float, ...]
    baseline_ms: float | None = None
    candidate_ms: float | None = None
    samples_ms: tuple[dict[str, tuple[float, ...]], ...] = ()


class GateKind:
    """What ``compress gate`` prints, of models or documents; what else a later version says is left alone."""

    made_by: ClassVar[str] = "compress gate --json"

    def claims(self, document: Json) -> bool:
        """Say whether two models were held against each other."""
        return {"candidate", "baseline", "checks", "latency"} <= document.keys()

    def facts(self, document: Json, where: Path) -> Facts:
        """Return the gate, and where it ran if it says so."""
        head = decode(_Head, _only(_Head, document, where), str(where))
        latency = document["latency"]
        if not isinstance(latency, dict):
            raise ArtifactError(f"{where}: latency is no table", _AGAIN)
        gate = Gate(
            candidate=head.candidate, baseline=head.baseline, backend=head.backend, verdict=head.verdict,
            checks=head.checks,
            latencies=tuple(_latency(name, entry, where) for name, entry in latency.items()),
        )  # fmt: skip
        return Facts(gates=(gate,), environment=_environment(document.get("environment")))


def _only(kind: type[Any], entry: object, where: Path) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise ArtifactError(f"{where}: {foreign(entry, 40)} is no table", _AGAIN)
    known = kind.__slots__
    found = {name: value for name, value in entry.items() if name in known}
    if isinstance(found.get("checks"), list):
        found["checks"] = [_only(GateCheck, check, where) for check in entry["checks"]]
    return found


def _latency(name: str, entry: object, where: Path) -> GatedLatency:
    read = decode(_Latency, _only(_Latency, entry, where), f"{where}: latency {foreign(name, 40)}")
    given = [ms for ms in (read.baseline_ms, read.candidate_ms) if ms is not None]
    if not read.low <= read.change <= read.high or not all(ms > 0 for ms in given):
        raise ArtifactError(f"{where}: the change {read.change} in {read.low}..{read.high} is none", _AGAIN)
    if not all(abs(r) < _LARGEST for r in read.ratios):
        raise ArtifactError(f"{where}: latency {foreign(name, 40)} has a ratio that no models have", _AGAIN)
    _check_samples(read, where)
    fields = ("change", "low", "high", "limit", "detectable", "baseline_ms", "candidate_ms")
    figures = {field: getattr(read, field) for field in fields}
    return GatedLatency(name=name, ratios=tuple(map(math.exp, read.ratios)), **figures)


def _check_samples(read: _Latency, where: Path) -> None:
    """Refuse rounds that have no times, and ratios that those do not give."""
    if not read.samples_ms:
        return
    for one in read.samples_ms:
        before, after = one.get("baseline", ()), one.get("candidate", ())
        if not before or not after or not all(0 < ms < math.inf for ms in (*before, *after)):
            raise ArtifactError(f"{where}: a round has no times of both models", _AGAIN)
    expected = ratios_of(read.samples_ms, read.metric) if read.metric in METRICS else ()
    if len(expected) != len(read.ratios) or not np.allclose(expected, read.ratios, rtol=0, atol=1e-9):
        raise ArtifactError(f"{where}: its ratios do not follow from its times", _AGAIN)


def _environment(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return {}
    return found


GATE = RESULTS.register("gate")(GateKind())
