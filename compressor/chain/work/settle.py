"""Merging channels, or dropping them: whichever scores better on the validation split."""

from dataclasses import replace

from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.steps.channels import ChangeChannels, unmerged
from compressor.steps.plan import PrunePlan
from compressor.steps.shrink import check, shrink


def settled(job: Job, before: Artifact, merged: Artifact) -> Artifact:
    """Return what was pruned, with merging undone where that scores better; nothing is trained.

    Args:
        job: knows the validation split, and hears what was decided.
        before: the model before the cut.
        merged: after it.

    Raises:
        CompressError: there is no data, or the plan without merging fails its proof.
    """
    plan = merged.manifest.plan.after(before.manifest.plan)
    plain = _dropping(plan)
    if plain == plan:
        return merged
    dropped = _made(before, merged, plain)
    kept, lost = (job.score(artifact, job.data.val).quality for artifact in (merged, dropped))
    undone = lost > kept
    job.say(f"validation: {kept:.2f} merged, {lost:.2f} dropped; {'dropped' if undone else 'merged'}")
    return dropped if undone else merged


def _dropping(plan: PrunePlan) -> PrunePlan:
    steps = (unmerged(step) if isinstance(step, ChangeChannels) else step for step in plan.steps)
    return replace(plan, steps=tuple(steps))


def _made(before: Artifact, merged: Artifact, plan: PrunePlan) -> Artifact:
    papers = merged.manifest
    assert papers.oracle is not None
    oracle = papers.oracle if papers.oracle.refused else check(before.view, plan, before.example())
    words, data = f"{papers.method}, merging undone", papers.data
    return before.changed(shrink(before.module, plan), plan, oracle, words, data)
