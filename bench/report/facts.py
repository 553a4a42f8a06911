"""What results say, whatever kind of document they came in. Names are as found; formats make them text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.comparison import BenchReport

Outcome = Literal["pass", "fail", "undecided"]
Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One thing that was gated, how it ended, and the figures in words."""

    name: str
    outcome: Outcome
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedLatency:
    """A gated latency.

    Attributes:
        name: what was measured: ``batch 1, p50``.
        change: share by which the candidate is slower; negative where it is faster.
        low: lower end of its interval.
        high: upper end.
        limit: share that is allowed.
        baseline_ms: the metric of the baseline; None of two documents, whose times say nothing of each other.
        candidate_ms: of the candidate.
        detectable: smallest regression that the machine could tell, a share.
        ratios: candidate over baseline, of the metric of each round, in order.
    """

    name: str
    change: float
    low: float
    high: float
    limit: float
    baseline_ms: float | None
    candidate_ms: float | None
    detectable: float
    ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a gate said, and of what it was sure."""

    candidate: str
    baseline: str
    backend: str
    verdict: Literal["pass", "fail"]
    checks: tuple[GateCheck, ...]
    latencies: tuple[GatedLatency, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator of a profiled model.

    Attributes:
        name: of the node.
        kind: the operator.
        module: that it comes from; "" where that is unknown.
        ms: per call.
        share: of the model's time, 0..1.
        precision: in which it ran.
        macs: multiply-adds per call; None where they are unknown.
        in_channels: channels that it reads, where it has such.
        out_channels: that it makes.
    """

    name: str
    kind: str
    module: str
    ms: float
    share: float
    precision: str
    macs: int | None
    in_channels: int | None
    out_channels: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """What costs time without need, what would be saved where that is predicted, and what to do next."""

    kind: str
    module: str
    ms: float | None
    what: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """One model's time by operator.

    Attributes:
        name: as the user typed it.
        digest: sha256 of the file that ran.
        backend: runtime.
        threads: of it; None where the runtime chose.
        batch: images per call.
        precision: of the file.
        shapes: of the inputs.
        total_ms: per call, while profiled.
        reorders: changes of layout; None where the runtime does not say.
        nodes: its operators.
        lints: what costs time without need.
    """

    name: str
    digest: str
    backend: str
    threads: int | None
    batch: int
    precision: str
    shapes: Shapes
    total_ms: float
    reorders: int | None
    nodes: tuple[Node, ...]
    lints: tuple[Lint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One layer in two models."""

    module: str
    kind: str
    before_ms: float
    after_ms: float
    saved_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model, or two side by side; ``pairs`` has the layers of both."""

    models: tuple[Profiled, ...]
    pairs: tuple[Pair, ...]
    environment: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """How good a model is.

    Attributes:
        model: as the user typed it.
        metric: ``top-1`` or ``box AP``, percent.
        data: that it was scored on.
        split: of the data.
        quality: percent.
        words: all figures.
        images: how many were scored.
        synthetic: whether the data is made up, so that the figure means nothing.
    """

    model: str
    metric: str
    data: str
    split: str
    quality: float
    words: str
    images: int
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """One group of channels.

    Attributes:
        group: its name.
        before: units of the dense model.
        requested: that the rate alone would keep.
        achieved: that are there.
        reason: why both differ.
    """

    group: str
    before: int
    requested: int
    achieved: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """An artifact: what was cut, and what that saved.

    Attributes:
        model: as the user typed it.
        arch: architecture.
        method: that chose, in words.
        widths: of all groups.
        macs_before: multiply-adds of the dense model, batch of one.
        macs_after: of this one.
        params_before: parameters of the dense model.
        params_after: of this one.
        notes: of its plan.
    """

    model: str
    arch: str
    method: str
    widths: tuple[Width, ...]
    macs_before: int
    macs_after: int
    params_before: int
    params_after: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStudy:
    """One group pruned alone: (rate, quality in percent), and points lost per percent of MACs saved."""

    group: str
    size: int
    points: tuple[tuple[float, float], ...]
    loss_per_macs: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Which groups can give channels."""

    model: str
    method: str
    data: str
    quality: float
    synthetic: bool
    groups: tuple[GroupStudy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a model is, to the bit."""

    model: str
    what: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one result adds to a report; most kinds fill one or two fields."""

    benches: tuple[BenchReport, ...] = ()
    gates: tuple[Gate, ...] = ()
    profiles: tuple[Profile, ...] = ()
    scores: tuple[Scored, ...] = ()
    pruned: tuple[Pruned, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()
    digests: tuple[Digest, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One result that was read.

    Attributes:
        where: path that the user typed.
        kind: name of its kind.
        sha256: of the file.
        facts: what it says.
        document: all of it, as JSON.
    """

    where: str
    kind: str
    sha256: str
    facts: Facts
    document: Mapping[str, object]


def joined(results: Iterable[Result]) -> Facts:
    """Return the facts of all results, in order; environments stay with their results."""
    every = [result.facts for result in results]
    return Facts(
        benches=tuple(one for facts in every for one in facts.benches),
        gates=tuple(one for facts in every for one in facts.gates),
        profiles=tuple(one for facts in every for one in facts.profiles),
        scores=tuple(one for facts in every for one in facts.scores),
        pruned=tuple(one for facts in every for one in facts.pruned),
        sensitivities=tuple(one for facts in every for one in facts.sensitivities),
        digests=tuple(one for facts in every for one in facts.digests),
    )
