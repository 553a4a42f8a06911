"""What a recipe file starts from, and a rehearsal of its cut."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from compressor.artifact import Artifact, Manifest
from compressor.base.pace import Say, unheard
from compressor.chain.job import Job, Store
from compressor.chain.memory import Memory
from compressor.chain.settings import Pipeline
from compressor.chain.stages import stages_of
from compressor.chain.work.prune import Prune
from compressor.steps.plan import PrunePlan
from compressor.steps.shrink import OracleReport
from compressor.zoo import find


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What pruning would do, without any training.

    Attributes:
        shots: papers of the model after each shot, first to last.
    """

    shots: tuple[Manifest, ...]

    @property
    def manifest(self) -> Manifest:
        """Of the pruned model."""
        return self.shots[-1]

    @property
    def oracles(self) -> tuple[OracleReport, ...]:
        """The proof of every shot."""
        return tuple(shot.oracle for shot in self.shots if shot.oracle)

    @property
    def plans(self) -> tuple[PrunePlan, ...]:
        """The plan of every shot alone."""
        nothing = PrunePlan(arch=self.manifest.arch, steps=())
        before = (nothing, *(shot.plan for shot in self.shots))
        return tuple(shot.plan.after(earlier) for shot, earlier in zip(self.shots, before, strict=False))


def dense(pipeline: Pipeline) -> Artifact:
    """Return the model before anything was done to it.

    Raises:
        UsageError: there is no such architecture, or the checkpoint does not fit it.
    """
    table = pipeline.model
    weights = Path(table.weights) if table.weights else None
    options: dict[str, Any] = {} if table.classes is None else {"num_classes": table.classes}
    torch.manual_seed(pipeline.training.seed)
    shapes = (table.input,) if table.input else None
    return Artifact.dense(find(table.arch), weights, options, shapes)


def job_of(pipeline: Pipeline, store: Store, device: torch.device, say: Say) -> Job:
    """Return the job of a recipe: it starts from the dense model, which is its teacher too."""
    return Job(
        open=lambda: dense(pipeline),
        store=store,
        spec=pipeline.data.spec if pipeline.data else None,
        device=device,
        say=say,
    )


def dry_run(pipeline: Pipeline) -> DryRun:
    """Prune in memory and check what the file expects; nothing is trained or written.

    Raises:
        CompressError: as for ``compress prune``.
    """
    job = job_of(pipeline, Memory(), torch.device("cpu"), unheard)
    artifact, shots = job.start, []
    for stage in stages_of(pipeline):
        if isinstance(stage.work, Prune):
            artifact = stage.work.rehearse(job, artifact)
            shots.append(artifact.manifest)
    return DryRun(shots=tuple(shots))


def rehearse(job: Job, pipeline: Pipeline) -> None:
    """Find the mistakes that would otherwise show after hours: in method, weights and data.

    Raises:
        UsageError: one of them does not exist or does not fit.
    """
    Prune(table=pipeline.prune, seed=pipeline.training.seed).method()
    start = job.start
    start.task.data.check(start.module, job.data)
