"""Going through the stages of a recipe in a run folder, which can be continued."""

from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.artifact import Artifact, Manifest, read_manifest
from compressor.base.documents import Json, encode
from compressor.base.errors import CompressError, UsageError
from compressor.base.files import file_digest
from compressor.base.locks import owned
from compressor.base.pace import Say
from compressor.chain.files import pipeline_to_toml
from compressor.chain.job import Job, beside
from compressor.chain.recipes import job_of, rehearse
from compressor.chain.record import Finished, RunRecord
from compressor.chain.settings import Pipeline
from compressor.chain.stages import stages_of
from compressor.chain.work import Stage
from compressor.chain.work.evaluate import Evaluate
from compressor.chain.work.train import Train
from compressor.zoo import Trust


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


class Folder:
    """Keeps what stages make in a run folder."""

    def __init__(self, folder: Path, stages: tuple[Stage, ...], trust: Trust) -> None:
        self._outputs = {stage.name: folder / stage.output for stage in stages}
        self._trust = trust  # in the recipe's own factory, which may build the models

    def get(self, name: str) -> Artifact:
        """Read what a stage made."""
        return Artifact.load(self._outputs[name], trust=self._trust)

    def put(self, name: str, artifact: Artifact) -> None:
        """Write what a stage made."""
        artifact.save(self._outputs[name])

    def path(self, name: str) -> Path:
        """Return where a stage's output lies."""
        return self._outputs[name]

    def checkpoints(self, name: str) -> Path:
        """Return the folder beside a training's output."""
        return beside(self._outputs[name])


def run_chain(pipeline: Pipeline, folder: Path, *, device: torch.device, say: Say) -> Completed:
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


def _continued(pipeline: Pipeline, folder: Path, device: torch.device, say: Say) -> Completed:
    record = RunRecord.open(folder, _settings(pipeline))
    stages, trust = stages_of(pipeline), Trust.of([pipeline.model.arch])
    job = job_of(pipeline, Folder(folder, stages, trust), device, say)
    if record.empty:
        rehearse(job, pipeline)
    record.start(pipeline_to_toml(pipeline))
    done, skipped = [], []
    for stage in stages:
        entry = record.finished(stage)
        if entry is not None:
            say(f"{stage.name}: done before, {job.store.path(stage.name)}")
            skipped.append(stage.name)
        done.append(entry or _performed(job, stage, record))
    final = next(stage.name for stage in stages if isinstance(stage.work, Evaluate))
    return Completed(
        folder=folder,
        manifest=read_manifest(job.store.path(final), trust),
        stages=tuple(done),
        skipped=tuple(skipped),
    )


def _performed(job: Job, stage: Stage, record: RunRecord) -> Finished:
    job.say(f"{stage.name} ...")
    record.clear(stage)
    try:
        made = stage.work.carry_out(job, stage, job.made(stage.parent))
        if made is not None:
            job.store.put(stage.name, made)
    except CompressError:
        record.abandon()
        raise
    job.say(f"{stage.name}: {job.store.path(stage.name)}")
    if isinstance(stage.work, Train) and job.data.val_caution:
        job.say(f"note on val: {job.data.val_caution}")
    return record.add(stage)


def _settings(pipeline: Pipeline) -> Json:
    """Return everything that decides the result: the tables, and the content of the checkpoint."""
    settings = encode(pipeline)
    if pipeline.repair is None:
        del settings["repair"]  # runs that were started before there was any go on
    if pipeline.model.weights is not None:
        settings["model"]["weights_sha256"] = _sha256(Path(pipeline.model.weights))
    return settings


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"no weights at {path}", "check [model] weights, or the path of --weights.")
    return file_digest(path)
