"""Repair as a stage."""

from dataclasses import dataclass

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.settings import RepairTable
from compressor.chain.work import Stage
from compressor.repairing import repair
from compressor.repairing.images import repair_images


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Least squares against the model before the cut.

    Attributes:
        table: how.
        dense: name of the stage that made what was cut; "" for what the chain starts from.
        seed: of the images that are drawn.
    """

    table: RepairTable
    dense: str = ""
    seed: int = 0

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> Artifact:
        """Return the repaired artifact.

        Raises:
            CompressError: there are no images, or they do not fit.
        """
        settings = self.table.settings(self.seed)
        batches = repair_images(job.data, settings.images, self.seed)
        data = job.data.spec
        made = repair(job.made(self.dense), artifact, batches, settings=settings, data=data, say=job.say)
        assert made.manifest.repair is not None
        job.say(f"{stage.name}: {made.manifest.repair.describe()}")
        return made
