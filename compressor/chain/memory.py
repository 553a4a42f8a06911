"""Going through a chain at once: ``compress prune`` and ``compress finetune``."""

from collections.abc import Iterable
from pathlib import Path

from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.chain.job import Job
from compressor.chain.work import Stage


class Memory:
    """Keeps what stages make until the chain is at its end, and checkpoints of its training in a folder."""

    def __init__(self, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir
        self._made: dict[str, Artifact] = {}

    def get(self, name: str) -> Artifact:
        """Return what a stage made."""
        return self._made[name]

    def put(self, name: str, artifact: Artifact) -> None:
        """Keep what a stage made."""
        self._made[name] = artifact

    def path(self, name: str) -> Path:
        """Refuse: nothing of this is written.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"stage {name} writes a file", "go through it in a run folder: compress run.")

    def checkpoints(self, name: str) -> Path | None:
        """Return the folder of checkpoints, whatever the stage."""
        return self._run_dir


def go_through(job: Job, stages: Iterable[Stage]) -> Artifact:
    """Carry out stages, first to last, and return what the last one made; nothing is written but checkpoints.

    Raises:
        CompressError: whatever a stage raises.
    """
    artifact = job.start
    for stage in stages:
        artifact = stage.work.carry_out(job, stage, job.made(stage.parent)) or artifact
        job.store.put(stage.name, artifact)
    return artifact
