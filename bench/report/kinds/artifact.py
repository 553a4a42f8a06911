"""Artifacts: the manifest in their folder, as its own reader checks it. Nothing that it names is imported."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from bench.report.facts import Digest, Facts, Pruned, Scored, Width
from bench.report.kinds import RESULTS, Json
from bench.report.kinds.evaluation import scored

if TYPE_CHECKING:
    from compressor.artifact import Manifest
    from compressor.steps.plan import PrunePlan

_OWN: Final = ("fine-tuned", "repaired", "pruned", "")
"""Moments whose score is this model's, the last one first; what was dense is another model."""


class ArtifactKind:
    """What ``compress prune`` and its like write; ``compress report`` is given the folder."""

    made_by: ClassVar[str] = "compress prune -o"

    def claims(self, document: Json) -> bool:
        """Say whether it is a manifest."""
        return {"arch", "plan", "oracle", "sha256"} <= document.keys()

    def facts(self, document: Json, where: Path) -> Facts:
        """Return what was cut, the scores, and the identity."""
        from compressor.artifact import read_manifest
        from compressor.zoo import Trust

        manifest = read_manifest(where, Trust(everything=True))
        name = str(where)
        return Facts(
            pruned=(_pruned(name, manifest),),
            scores=_scores(name, manifest),
            digests=(
                Digest(model=name, what="artifact", sha256=manifest.digest()),
                Digest(model=name, what="its weights", sha256=manifest.sha256),
            ),
            environment=manifest.environment,
        )


def _pruned(name: str, manifest: "Manifest") -> Pruned:
    before, after = manifest.cost_before, manifest.cost_after
    return Pruned(
        model=name, arch=manifest.arch, method=manifest.method, widths=_widths(manifest.plan),
        macs_before=before.macs, macs_after=after.macs, params_before=before.params,
        params_after=after.params, notes=manifest.plan.notes,
    )  # fmt: skip


def _widths(plan: "PrunePlan") -> tuple[Width, ...]:
    """Return every group over all steps: as it was first, as it was asked for last, and as it is."""
    found: dict[str, Width] = {}
    for one in plan.decisions:
        first = found.get(one.name)
        found[one.name] = Width(
            group=one.name, before=first.before if first else one.size, requested=one.requested,
            achieved=one.kept, reason=one.reason,
        )  # fmt: skip
    return tuple(found.values())


def _scores(name: str, manifest: "Manifest") -> tuple[Scored, ...]:
    """Return the last score of every split that is this model's own."""
    found: dict[str, Scored] = {}
    for when in _OWN:
        for moment, score in manifest.scores.items():
            if moment.when == when:
                found.setdefault(moment.split, scored(name, manifest.data, moment.split, score))
    return tuple(found.values())


ARTIFACT = RESULTS.register("artifact")(ArtifactKind())
