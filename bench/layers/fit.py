"""Cutting to a latency: plan by the table, measure what comes of it, bend the price, plan again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.candidates import Candidate, candidate
from bench.comparison import BenchReport
from bench.layers.aim import TOLERANCE, Aim, Reached, Trial
from bench.layers.here import here
from bench.layers.make import measured_table
from bench.layers.names import own_names
from bench.layers.price import Latency
from bench.layers.table import LatencyTable, Where
from bench.measure import MeasureSettings
from bench.profile.runtimes import profiler_of
from bench.run import bench
from bench.statistics import Speedup, percentiles
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.base.files import scratch
from compressor.base.pace import Say
from compressor.channels import ChannelGraph, trace
from export.backends import BACKENDS, SessionOptions, require_device

TRIES: Final = 3
"""Networks that are measured at most: one by the table, two by what was measured."""

Cut = Callable[[Latency, float], Artifact]
"""Cuts a model so that its latency by a price is a share of what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where candidates are made and measured.

    Attributes:
        aim: what is asked.
        folder: for files.
        say: told what is being done.
        known: the table that the aim names; None measures one.
        cache: folder of earlier times of layers; None is the user's.
    """

    aim: Aim
    folder: Path
    say: Say
    known: LatencyTable | None = None
    cache: Path | None = None

    @property
    def where(self) -> Where:
        """This machine, as the aim's target."""
        return here(self.aim.target, threads=self.aim.threads, batch=self.aim.batch)

    @property
    def options(self) -> SessionOptions:
        """How the target runs."""
        return SessionOptions(device=profiler_of(self.aim.target).device, threads=self.aim.threads)

    def check(self) -> None:
        """Find the mistakes that would otherwise show after an export.

        Raises:
            UsageError: the threads are none, the target cannot say the time of its nodes, or the table is of
                another place.
        """
        where, _ = self.where, self.options  # which refuse what cannot be
        if self.known is not None:
            self.known.require(where)

    def exported(self, name: str, artifact: Artifact) -> Candidate:
        """Return a model in the form that the target opens, compared with PyTorch."""
        backend = BACKENDS.get(self.aim.target)
        return candidate(name, artifact, backend, self.folder, threads=self.aim.threads, say=self.say)

    def table(self, source: Artifact, before: Candidate) -> LatencyTable:
        """Return the table of the model before the cut: the one that is named, or a new one."""
        if self.known is not None:
            return self.known
        model, names = source.manifest.arch, own_names(source)
        return measured_table(model, before, self.where, names, say=self.say, cache=self.cache)

    def compared(self, before: Candidate, after: Candidate) -> tuple[Speedup, float]:
        """Return the speed-up of a model, measured beside the one before, and that one's milliseconds."""
        report = self._measured(before, after)
        return report.comparisons[0].speedup, percentiles(report.results[0].samples_ms).p50_ms

    def call_ms(self, model: Candidate) -> float:
        """Return the median time of a call."""
        return percentiles(self._measured(model).results[0].samples_ms).p50_ms

    def _measured(self, *models: Candidate) -> BenchReport:
        return bench(
            models, backend=self.aim.target, options=self.options,
            batches=(self.aim.batch,), settings=MeasureSettings(budget_s=self.aim.seconds),
        )  # fmt: skip


def fitted(
    source: Artifact, aim: Aim, cut: Cut, *, say: Say, cache: Path | None = None
) -> tuple[Artifact, Reached]:
    """Return the model at the latency that is asked for, or the nearest that was found, and how near.

    Args:
        source: the model before the cut.
        aim: its latency afterwards, and where.
        cut: makes candidates.
        say: told what is being done.
        cache: folder of earlier times of layers; None is the user's.

    Raises:
        UsageError: the latency is out of reach, or the table is of another place or model.
        BackendMissingError: the target is not usable here, and no table of another place was given.
    """
    known = None if aim.table is None else LatencyTable.load(Path(aim.table))
    if known and aim.foreign_table:
        return _planned(source, aim, known, cut)
    require_device(BACKENDS.get(aim.target), profiler_of(aim.target).device)
    with scratch() as folder:
        ground = Ground(aim=aim, folder=folder, say=say, known=known, cache=cache)
        ground.check()
        return tried(source, ground, cut)


def _planned(source: Artifact, aim: Aim, table: LatencyTable, cut: Cut) -> tuple[Artifact, Reached]:
    """Cut by a table of another place, where nothing can be measured."""
    price, share = Latency(table=table), aim.share or min(1.0, (aim.ms or 0.0) / table.call_ms)
    made = cut(price, share)
    graph = trace(source.view, source.example())
    trial = Trial(predicted=predicted(price, graph, source, made))
    return made, Reached(aim=aim, share=share, trials=(trial,), kept=0)


def tried(source: Artifact, ground: Ground, cut: Cut) -> tuple[Artifact, Reached]:
    """Cut, measure, and cut again until the latency is met, widths repeat, or `TRIES` are over.

    Raises:
        UsageError: as for `fitted`.
    """
    aim, before = ground.aim, ground.exported("before", source)
    price = Latency(table=ground.table(source, before))
    share = aim.share or _share(aim, ground.call_ms(before))
    graph = trace(source.view, source.example())
    made: list[Artifact] = []
    trials: list[Trial] = []
    dense_ms: float | None = None
    while len(trials) < TRIES:
        try:
            small = cut(price, share)
        except UsageError:
            if not made:
                raise
            break  # what was measured says that nothing allowed is as quick
        if any(small.manifest.plan == other.manifest.plan for other in made):
            break
        guess = predicted(price, graph, source, small)
        speedup, dense_ms = ground.compared(before, ground.exported("after", small))
        made.append(small)
        trials.append(Trial(predicted=guess, speedup=speedup))
        ground.say(_told(trials[-1], share))
        if trials[-1].miss(share) <= TOLERANCE:
            break
        price = price.bent(guess, 1 / speedup.value)
    kept = min(range(len(trials)), key=lambda n: (trials[n].miss(share), abs((trials[n].share or 0) - share)))
    reached = Reached(aim=aim, share=share, trials=tuple(trials), kept=kept, dense_ms=dense_ms)
    return made[kept], reached


def _share(aim: Aim, dense_ms: float) -> float:
    """Return the share of the latency before the cut that some milliseconds are."""
    assert aim.ms is not None
    if aim.ms >= dense_ms:
        raise UsageError(
            f"--latency {aim.ms:g}ms: the model takes {dense_ms:.3g} ms as it is",
            "there is nothing to cut; give less.",
        )
    return aim.ms / dense_ms


def predicted(price: Latency, graph: ChannelGraph, source: Artifact, small: Artifact) -> float:
    """Return the share of its latency before the cut that a network has; ``graph`` is of before."""
    return price.share(graph, _kept(graph, source, small))


def _kept(graph: ChannelGraph, source: Artifact, small: Artifact) -> np.ndarray:
    decisions = small.manifest.plan.after(source.manifest.plan).decisions
    kept = {decision.name: decision.kept for decision in decisions}
    return np.array([kept.get(group.name, group.size) for group in graph.groups], dtype=np.int64)


def _told(trial: Trial, share: float) -> str:
    assert trial.speedup is not None
    low, high = 1 / trial.speedup.high, 1 / trial.speedup.low
    return (
        f"latency {1 / trial.speedup.value:.3f} ({low:.3f}..{high:.3f}) of the model before, "
        f"predicted {trial.predicted:.3f}, asked {share:.3f}"
    )
