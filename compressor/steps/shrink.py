"""Carry a plan out, and prove that the result computes what it should.

``shrink`` makes the small model; ``mask`` makes its oracle, the dense model in which nothing reads what will
be removed. Both must give the same outputs; a rule that the tracer lacks or has wrong shows up here.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from compressor.base.errors import CompressError, OracleError
from compressor.base.outputs import tensors_of
from compressor.steps import Step
from compressor.steps.plan import PrunePlan

ORACLE_LIMIT = 1e-4
"""Largest relative difference that float32 summation order explains in the deepest networks."""
_DOUBLE_LIMIT = 1e-8
"""The same in float64, where what is exact agrees to 1e-12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleReport:
    """Result of comparing the shrunk model with the masked one.

    Attributes:
        max_relative_difference: largest output difference over the largest output; None if refused.
        limit: what was allowed.
        refused: why the two are not comparable, in words, or None.
    """

    max_relative_difference: float | None
    limit: float
    refused: str | None = None


def shrink(model: nn.Module, plan: PrunePlan) -> nn.Module:
    """Return a physically smaller copy of ``model``; the argument is not changed."""
    for step in plan.steps:
        model = step.shrink(model)
    return model


def check(model: nn.Module, plan: PrunePlan, inputs: Sequence[Tensor]) -> OracleReport:
    """Prove a plan on ``inputs``, one step after the other.

    Every step is compared with its own mask, norm statistics perturbed first: fresh ones (mean 0, variance 1)
    would hide a norm whose channels were cut at the wrong place. A step that claims to be lossless is
    compared with the model itself as well, as it is.

    Raises:
        OracleError: they differ by more than :data:`ORACLE_LIMIT`, or the small model does not run.
    """
    worst = 0.0
    models = accumulate(plan.steps[:-1], lambda before, step: step.shrink(before), initial=model)
    for before, step in zip(models, plan.steps, strict=False):  # without steps there is a model all the same
        worst = max(worst, _proven(before, step, inputs, f"the shrunk {plan.arch}"))
    return OracleReport(max_relative_difference=worst, limit=ORACLE_LIMIT)


def _proven(model: nn.Module, step: Step, inputs: Sequence[Tensor], changed: str) -> float:
    difference = step_difference(model, step, inputs, changed)
    if difference <= ORACLE_LIMIT:
        return difference
    exact = _in_double(model, step, inputs)
    if exact <= _DOUBLE_LIMIT:
        return exact
    raise OracleError(
        f"{changed} differs from the masked one by {difference:.2e} (limit {ORACLE_LIMIT})", _HINT
    )


def _in_double(model: nn.Module, step: Step, inputs: Sequence[Tensor]) -> float:
    """Return the difference in float64, which cannot be rounding; infinite where that does not run.

    Deep networks with random weights amplify the rounding of float32 beyond limits that find mistakes.
    """
    doubles = [x.double() if x.is_floating_point() else x for x in inputs]
    try:
        return step_difference(copy.deepcopy(model).double(), step, doubles, "the shrunk model in float64")
    except Exception:  # a forward may insist on float32 in any way: then the first difference stands
        return math.inf


def step_difference(model: nn.Module, step: Step, inputs: Sequence[Tensor], changed: str) -> float:
    """Return how far a model is from what its step claims, relative to the largest output.

    ``changed`` is what the changed model is called, for the message.

    Raises:
        OracleError: the changed model does not run.
    """
    probe = perturb_norms(copy.deepcopy(model)).eval()
    small = _ran(lambda: step.shrink(probe), inputs, changed)
    masked = relative_difference(outputs_of(step.mask(probe), inputs), small)
    if not step.lossless:
        return masked
    same = copy.deepcopy(model).eval()
    small = _ran(lambda: step.shrink(same), inputs, changed)
    return max(masked, relative_difference(outputs_of(same, inputs), small))


def run_shrunk(model: nn.Module, plan: PrunePlan, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Shrink a model, run it, and return its outputs.

    Raises:
        OracleError: the small model does not run.
    """
    return _ran(lambda: shrink(model, plan), inputs, f"the shrunk {plan.arch}")


def _ran(make: Callable[[], nn.Module], inputs: Sequence[Tensor], changed: str) -> list[Tensor]:
    try:
        found = outputs_of(make(), inputs)
    except CompressError:
        raise
    except Exception as error:  # a user's forward may fail in any way when channels are other
        raise OracleError(f"{changed} does not run: {error}", _HINT) from error
    if not any(output.numel() for output in found):
        raise OracleError(
            f"{changed} returns no number that could be compared",
            "give an input for which the model returns some: --input.",
        )
    return found


_HINT = "the forward pass may use fixed channel numbers; keep that part whole with --keep PATTERN."


def perturb_norms(model: nn.Module, seed: int = 0) -> nn.Module:
    """Shift and scale all running statistics and norm weights in place, within the model's own scale."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if isinstance(mean, Tensor) and isinstance(var, Tensor):
            noise = torch.randn(mean.shape, generator=generator).to(mean)
            mean += 0.2 * noise * var.sqrt()
            var *= (0.5 + torch.rand(var.shape, generator=generator)).to(var)
            _perturb_affine(module, generator)
    return model


@torch.no_grad()
def _perturb_affine(module: nn.Module, generator: torch.Generator) -> None:
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(weight, Tensor) and isinstance(bias, Tensor):
        weight *= (0.5 + torch.rand(weight.shape, generator=generator)).to(weight)
        bias += 0.2 * torch.randn(bias.shape, generator=generator).to(bias)


def outputs_of(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run a model in evaluation mode and return its output tensors, taken out of any container."""
    model.eval()
    with torch.no_grad():
        return tensors_of(model(*inputs))


def relative_difference(expected: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    """Return max |expected - got| / max |expected| over all outputs; infinite if shapes or counts differ."""
    worst = 0.0
    if len(expected) != len(got):
        return float("inf")
    for a, b in zip(expected, got, strict=True):
        if a.shape != b.shape or not bool(torch.isfinite(b).all()):
            return float("inf")
        if not a.numel():  # a detector that finds nothing
            continue
        scale = float(a.abs().max().clamp(min=torch.finfo(torch.float32).tiny))
        worst = max(worst, float((a - b).abs().max()) / scale)
    return worst
