"""Going through a chain at once: ``compress prune`` and ``compress finetune``."""

from collections.abc import Iterable
from pathlib import Path

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage
from compressor.errors import UsageError


class Memory:
    """Keeps what stages make until the chain is at its end.

    Attributes:
        output: where the last of it will go, or None; checkpoints of the training lie beside it.
    """

    def __init__(self, output: Path | None) -> None:
        self._output = output
        self._made: dict[str, Artifact] = {}

    def get(self, name: str) -> Artifact:
        """Return what a stage made."""
        return self._made[name]

    def put(self, name: str, artifact: Artifact) -> None:
        """Keep what a stage made."""
        self._made[name] = artifact

    def path(self, name: str) -> Path:
        """Return the path of the output, whatever the stage.

        Raises:
            UsageError: there is none.
        """
        if self._output is None:
            raise UsageError("nowhere to write", "give -o FOLDER.")
        return self._output


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
