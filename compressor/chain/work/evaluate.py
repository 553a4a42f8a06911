"""Scoring as a stage."""

from dataclasses import dataclass

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.work import Stage
from compressor.tasks.scores import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate:
    """Scoring on the test split, which decides nothing.

    Attributes:
        moments: (what the model was, stage that made it so) of every score; "" is what the chain starts from.
    """

    moments: tuple[tuple[str, str], ...]

    def carry_out(self, job: Job, stage: Stage, artifact: Artifact) -> Artifact:
        """Return the artifact with the scores of all moments."""
        for when, name in self.moments:
            score = job.score(job.made(name), job.data.test)
            artifact = artifact.scored(Moment("test", when), score, job.data.spec)
        return artifact
