"""Benchmarks: raw samples and speed-ups, read and checked by `bench.document`."""

from pathlib import Path
from typing import ClassVar

from bench.document import report_from_json
from bench.report.facts import Digest, Facts
from bench.report.kinds import RESULTS, Json
from bench.statistics import percentiles
from compressor.base.errors import ArtifactError


class BenchKind:
    """What ``compress bench`` writes."""

    made_by: ClassVar[str] = "compress bench --save"

    def claims(self, document: Json) -> bool:
        """Say whether there are results with notes."""
        return {"results", "notes", "environment"} <= document.keys()

    def facts(self, document: Json, where: Path) -> Facts:
        """Return the report, and what ran."""
        report = report_from_json(document)
        try:
            for result in report.results:
                percentiles(result.samples_ms)
        except ValueError as error:
            raise ArtifactError(f"{where}: {error}", "measure again.") from error
        ran = {one.model: one.digest for one in report.results}
        ran |= {one.model: one.digest for one in report.served}
        digests = tuple(Digest(model=name, what="file that ran", sha256=sha) for name, sha in ran.items())
        return Facts(benches=(report,), digests=digests, environment=report.environment)


BENCH = RESULTS.register("bench")(BenchKind())
