"""Profiles: time by layer, of one model or of two side by side."""

from pathlib import Path
from typing import ClassVar

from bench.report.facts import Digest, Facts, Profile
from bench.report.kinds import RESULTS, Json
from compressor.base.documents import check_schema, decode
from compressor.base.errors import ArtifactError

SCHEMA_VERSION = 1


class ProfileKind:
    """What ``compress profile`` writes."""

    made_by: ClassVar[str] = "compress profile --json"

    def claims(self, document: Json) -> bool:
        """Say whether it calls itself one."""
        return document.get("kind") == "profile"

    def facts(self, document: Json, where: Path) -> Facts:
        """Return the profile, and what ran."""
        check_schema(document, SCHEMA_VERSION, str(where))
        rest = {name: value for name, value in document.items() if name not in ("schema_version", "kind")}
        profile = decode(Profile, rest, str(where))
        _check_times(profile, where)
        digests = tuple(
            Digest(model=model.name, what="file that was profiled", sha256=model.digest)
            for model in profile.models
        )
        return Facts(profiles=(profile,), digests=digests, environment=profile.environment)


def _check_times(profile: Profile, where: Path) -> None:
    times = [model.total_ms for model in profile.models]
    times += [node.ms for model in profile.models for node in model.nodes]
    times += [ms for pair in profile.pairs for ms in (pair.before_ms, pair.after_ms)]
    if any(ms < 0 for ms in times):
        raise ArtifactError(f"{where}: {min(times)} ms is no time", "profile again.")


PROFILE = RESULTS.register("profile")(ProfileKind())
