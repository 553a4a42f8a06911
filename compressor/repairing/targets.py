"""Which outputs of the dense model those of the small one are."""

import torch
from torch import Tensor, nn

from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.repairing.watching import Layer
from compressor.steps.channels import ChangeChannels
from compressor.steps.plan import PrunePlan


def plan_between(dense: Artifact, small: Artifact) -> PrunePlan:
    """Return what made the small model of the dense one.

    Raises:
        UsageError: the small one was not made of the dense one, or a step does not say where outputs went.
    """
    first, whole = dense.manifest.plan, small.manifest.plan
    if dense.manifest.arch != small.manifest.arch or whole.steps[: len(first.steps)] != first.steps:
        raise UsageError(
            f"the artifact is a {small.manifest.arch} that was not made of this {dense.manifest.arch}",
            "give the dense model that was pruned.",
        )
    plan = whole.after(first)
    for step in plan.steps:
        if not isinstance(step, ChangeChannels):
            raise UsageError(f"repair does not know what {step.kind} leaves of a layer", "repair before it.")
    return plan


def outputs_of(plan: PrunePlan, dense: nn.Module) -> dict[str, Tensor]:
    """Return layer -> position in the dense model of each of its outputs, for layers that changed."""
    found: dict[str, Tensor] = {}
    for step in plan.steps:
        assert isinstance(step, ChangeChannels)
        for change in step.changes:
            name, _, field = change.tensor.rpartition(".")
            if field == "weight" and change.axis == 0 and isinstance(dense.get_submodule(name), Layer):
                take = torch.tensor(step.takes[change.take])
                found[name] = found[name][take] if name in found else take
    return found
