"""Going through the stages of a pipeline in a run folder."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.artifact import Manifest, read_manifest
from compressor.base.documents import Json, encode
from compressor.base.locks import owned
from compressor.errors import CompressError, UsageError
from compressor.pipeline.actions import Job, perform, rehearse
from compressor.pipeline.cut import prune_shot
from compressor.pipeline.files import pipeline_to_toml
from compressor.pipeline.models import dense
from compressor.pipeline.record import Finished, RunRecord
from compressor.pipeline.settings import Pipeline
from compressor.pipeline.stages import Stage, stages_of
from compressor.prune import Planned
from compressor.zoo import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What pruning would do, without any training.

    Attributes:
        manifest: of the pruned model.
        planned: the plan of every shot.
    """

    manifest: Manifest
    planned: tuple[Planned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A run whose stages are all done.

    Attributes:
        folder: the run folder.
        manifest: of the final artifact, with every score.
        stages: what was made.
        skipped: names of the stages that an earlier run had finished.
    """

    folder: Path
    manifest: Manifest
    stages: tuple[Finished, ...]
    skipped: tuple[str, ...]


def dry_run(pipeline: Pipeline) -> DryRun:
    """Prune in memory and check what the file expects; nothing is trained or written.

    Raises:
        CompressError: as for ``compress prune``.
    """
    model, manifest = dense(pipeline)
    planned = []
    for stage in stages_of(pipeline):
        if stage.shot is not None:
            model, manifest, plan = prune_shot(pipeline, model, manifest, stage.shot)
            planned.append(plan)
    return DryRun(manifest=manifest, planned=tuple(planned))


def run_chain(
    pipeline: Pipeline, folder: Path, *, device: torch.device, say: Callable[[str], None]
) -> Completed:
    """Run the stages that are not finished yet.

    Args:
        pipeline: with data.
        folder: the run folder; continued where it is one of the same settings.
        device: where training and scoring happen.
        say: called with a line for people before and after each stage.

    Raises:
        UsageError: there is no data, another process is at it, or the folder belongs to something else.
        CompressError: whatever a stage raises; stages before it stay finished.
    """
    if pipeline.data is None:
        raise UsageError("training and scoring need images", "give --data, for instance --data digits.")
    with owned(folder):
        return _continued(pipeline, folder, device, say)


def _continued(
    pipeline: Pipeline, folder: Path, device: torch.device, say: Callable[[str], None]
) -> Completed:
    record = RunRecord.open(folder, _settings(pipeline))
    if record.empty:
        rehearse(pipeline)
    stages = stages_of(pipeline)
    outputs = {stage.name: folder / stage.output for stage in stages}
    job = Job(pipeline=pipeline, device=device, outputs=outputs, say=say)
    record.start(pipeline_to_toml(pipeline))
    done, skipped = [], []
    for stage in stages:
        entry = record.finished(stage)
        if entry is not None:
            say(f"{stage.name}: done before, {job.outputs[stage.name]}")
            skipped.append(stage.name)
        done.append(entry or _performed(job, stage, record, say))
    final = next(stage for stage in stages if stage.action == "eval")
    return Completed(
        folder=folder,
        manifest=read_manifest(job.outputs[final.name], Trust.of([pipeline.model.arch])),
        stages=tuple(done),
        skipped=tuple(skipped),
    )


def _performed(job: Job, stage: Stage, record: RunRecord, say: Callable[[str], None]) -> Finished:
    epochs = f" for {stage.recipe.epochs} epochs" if stage.recipe else ""
    say(f"{stage.name}{epochs} ...")
    record.clear(stage)
    try:
        perform(job, stage)
    except CompressError:
        record.abandon()
        raise
    say(f"{stage.name}: {job.outputs[stage.name]}")
    return record.add(stage)


def _settings(pipeline: Pipeline) -> Json:
    """Return everything that decides the result: the tables, and the content of the checkpoint."""
    settings = encode(pipeline)
    if pipeline.model.weights is not None:
        settings["model"]["weights_sha256"] = _sha256(Path(pipeline.model.weights))
    return settings


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"no weights at {path}", "check [model] weights, or the path of --weights.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
