"""What a stage can do, one file each."""

from dataclasses import dataclass
from typing import Protocol

from compressor.artifact import Artifact
from compressor.chain.job import Job


class Work(Protocol):
    """What one stage does; its fields are all that decides its result, beside what it starts from."""

    def carry_out(self, job: Job, stage: "Stage", artifact: Artifact) -> Artifact | None:
        """Return what the stage makes of ``artifact``, or None where it wrote a file at its path.

        Raises:
            CompressError: whatever stands in the way.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the chain.

    Attributes:
        name: unique within the chain.
        parent: name of the stage whose output it starts from; "" for what the chain starts from.
        output: file or folder that it makes, within a run folder.
        work: what is done.
    """

    name: str
    output: str
    work: Work
    parent: str = ""
