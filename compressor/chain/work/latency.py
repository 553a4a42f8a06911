"""Pruning to a latency: cut by a table that was measured, measure the cut, and cut again where it is off."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from bench.layers.aim import Aim
from bench.layers.fit import fitted
from bench.layers.price import Latency
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.chain.job import Job
from compressor.chain.work.prune import Prune
from compressor.methods import Method, Training, prune
from compressor.methods.ranking import Batches
from compressor.rates import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPrune(Prune):
    """Pruning until a call takes as long as is asked for.

    Attributes:
        aim: how long that is, and where.
    """

    aim: Aim

    def cut(self, job: Job, artifact: Artifact, training: Training) -> Artifact:
        """Return the smaller model, measured; the job hears how near it came.

        Raises:
            UsageError: the method trains before it cuts, the latency is out of reach, or the cut does not
                cost what is expected.
            BackendMissingError: the target is not usable here.
        """
        if self.method().trains:
            raise UsageError(
                f"--method {self.table.method} trains before each cut, and a latency takes several cuts",
                "find widths by a criterion first, --method l1 --dry-run, and give their rates.",
            )
        request = self.table.request(outside=artifact.arch.outside(self.table.parts))
        words = self.table.describe()

        @cache
        def looked() -> tuple[Method[Any], Batches | None, str]:
            method, images, data = self.looked(job, artifact, request)
            return method, None if images is None else list(images), data

        def cut(price: Latency, share: float) -> Artifact:
            asked = replace(
                request,
                target=Budget("latency", fraction=share),
                round_to=self.aim.round_to or price.table.where.block,
                measured=price,
            )
            method, batches, data = looked()
            return prune(artifact, asked, method, batches, words=words, data=data, training=training)

        small, reached = fitted(artifact, self.aim, cut, say=job.say)
        job.say(reached.describe())
        job.reached(reached)
        return self.ended(job, artifact, small)
