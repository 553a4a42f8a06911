"""Exporting as a stage."""

from dataclasses import dataclass

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An ONNX file in single precision, compared with PyTorch."""

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> None:
        """Write the file."""
        from export.deploy import deploy  # with ONNX, which the other stages do without

        deploy(artifact, job.store.path(stage.name))
